/** The inner kernel of every product: a 6 × 8 tile of C from a packed panel of A (6 rows) and one of B (8 columns). */
import { scratch } from "./pool";

/** Rows of a tile. */
export const ROWS: i32 = 6;
/** Columns of a tile. */
export const COLUMNS: i32 = 8;
/** The longest block of the reduction axis that is packed at once. */
export const DEPTH: i32 = 768;

/** How a tile is written to C: added to the old values, with the bias, with relu. */
export const ADD: i32 = 1;
export const BIAS: i32 = 2;
export const RELU: i32 = 4;

// A thread's scratch memory.
const TILE: usize = 64; // six rows of eight floats, after room for six addresses
const FRESH_TILE: usize = 512; // another
/** Offset of a run of DEPTH zeros. */
export const ZEROS: usize = 4096;
/** Offset of eight rows of DEPTH floats, for patches that cross an edge. */
export const EDGES: usize = 8192;
/** Offset of the addresses of a block's rows of C. */
export const ROW_TABLE: usize = 32768;
/** Offset of further data of a block's rows. */
export const POSITION_TABLE: usize = 40960;
/** Offset of the packed panels of A. */
export const PANELS_A: usize = 1 << 16;
/** Offset of the packed panels of B, if each thread packs its own. */
export const PANELS_B: usize = 1 << 20;

/** The number of columns of a packed matrix. */
export function padded(columns: i32): i32 {
  return (columns + COLUMNS - 1) & ~(COLUMNS - 1);
}

/** The length of the blocks into which the reduction axis is split, at least 4. The last one may be shorter. */
export function depthStep(depth: i32): i32 {
  const blocks = max((depth + DEPTH - 1) / DEPTH, 1);
  return max(4, min(((depth + blocks - 1) / blocks + 3) & ~3, DEPTH));
}

/** Six rows of eight sums at `to`: over `depth` steps, six adjacent floats at `a` times eight at `b`. The sums are stored
 * unchanged, because further work after the loop would take registers from it. */
@inline
function sumProducts(depth: i32, a: usize, stepA: usize, b: usize, stepB: usize, to: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0), c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  // Not unrolled: the twelve sums leave no registers for that.
  for (let k = depth; k > 0; k--) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = f32x4.relaxed_madd(x, b0, c00);
    c01 = f32x4.relaxed_madd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = f32x4.relaxed_madd(x, b0, c10);
    c11 = f32x4.relaxed_madd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = f32x4.relaxed_madd(x, b0, c20);
    c21 = f32x4.relaxed_madd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = f32x4.relaxed_madd(x, b0, c30);
    c31 = f32x4.relaxed_madd(x, b1, c31);
    x = v128.load32_splat(a, 16);
    c40 = f32x4.relaxed_madd(x, b0, c40);
    c41 = f32x4.relaxed_madd(x, b1, c41);
    x = v128.load32_splat(a, 20);
    c50 = f32x4.relaxed_madd(x, b0, c50);
    c51 = f32x4.relaxed_madd(x, b1, c51);
    a += stepA;
    b += stepB;
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c10, 32);
  v128.store(to, c11, 48);
  v128.store(to, c20, 64);
  v128.store(to, c21, 80);
  v128.store(to, c30, 96);
  v128.store(to, c31, 112);
  v128.store(to, c40, 128);
  v128.store(to, c41, 144);
  v128.store(to, c50, 160);
  v128.store(to, c51, 176);
}

/** Six rows of eight sums at `to` = A panel · B panel. */
export function multiply(depth: i32, a: usize, b: usize, to: usize): void {
  sumProducts(depth, a, ROWS << 2, b, COLUMNS << 2, to);
}

/** The same for an A that is not packed, with rows `stepA` bytes apart. */
export function multiplyRows(depth: i32, a: usize, stepA: usize, b: usize, to: usize): void {
  sumProducts(depth, a, stepA, b, COLUMNS << 2, to);
}

function finish(from: usize, to: usize, flags: i32, bias: usize): void {
  let value = v128.load(from);
  if (flags & ADD) value = f32x4.add(value, v128.load(to));
  if (flags & BIAS) value = f32x4.add(value, v128.load(bias));
  if (flags & RELU) value = f32x4.max(value, f32x4.splat(0));
  v128.store(to, value);
}

/** C tile = A panel · B panel. `rows` lists the addresses of six rows of C, and `offset` is the column in bytes. */
function tile(
  depth: i32,
  a: usize,
  b: usize,
  rows: usize,
  offset: usize,
  flags: i32,
  bias: usize,
): void {
  let from = scratch + TILE;
  multiply(depth, a, b, from);
  for (let row = 0; row < ROWS; row++, from += 32) {
    const to = load<u32>(rows + (row << 2)) + offset;
    finish(from, to, flags, bias);
    finish(from + 16, to + 16, flags, bias + 16);
  }
}

/** Computes a tile into this thread's own 6 × 8 buffer, optionally added to the old values, and returns its address. */
export function tileAside(depth: i32, a: usize, b: usize, flags: i32): usize {
  const buffer = scratch + TILE, fresh = flags & ADD ? scratch + FRESH_TILE : buffer;
  multiply(depth, a, b, fresh);
  if (flags & ADD) {
    for (let at: usize = 0; at < 192; at += 16) finish(fresh + at, buffer + at, ADD, 0);
  }
  return buffer;
}

/** Computes a tile of which only `height` rows and `width` columns are in C. */
function partialTile(
  depth: i32,
  a: usize,
  b: usize,
  rows: usize,
  offset: usize,
  flags: i32,
  bias: usize,
  height: i32,
  width: i32,
): void {
  const buffer = tileAside(depth, a, b, 0);
  for (let row = 0; row < height; row++) {
    const from = buffer + (row << 5), to = load<u32>(rows + (row << 2)) + offset;
    for (let column: usize = 0; column < <usize> width; column++) {
      const at = column << 2;
      let value = load<f32>(from + at);
      if (flags & ADD) value += load<f32>(to + at);
      if (flags & BIAS) value += load<f32>(bias + at);
      if (flags & RELU) value = max<f32>(value, 0);
      store<f32>(to + at, value);
    }
  }
}

/** C block = A panels · B panels: all tiles of `height` rows and `width` columns from `column` on.
 * @param rows the addresses of the block's rows of C
 */
export function block(
  depth: i32,
  a: usize,
  b: usize,
  rows: usize,
  height: i32,
  column: i32,
  width: i32,
  flags: i32,
  bias: usize,
): void {
  const sizeA = <usize> (depth * ROWS) << 2, sizeB = <usize> (depth * COLUMNS) << 2;
  // Two panels of B at a time, because their columns share cache lines of C.
  for (let pair = 0; pair < width; pair += 2 * COLUMNS) {
    let panel = a;
    for (let i = 0; i < height; i += ROWS) {
      const table = rows + (i << 2);
      for (let j = pair; j < min(pair + 2 * COLUMNS, width); j += COLUMNS) {
        const offset = <usize> (column + j) << 2;
        const other = j == pair ? b : b + sizeB;
        if (height - i >= ROWS && width - j >= COLUMNS) {
          tile(depth, panel, other, table, offset, flags, bias + offset);
        } else {
          partialTile(
            depth,
            panel,
            other,
            table,
            offset,
            flags,
            bias + offset,
            min(height - i, ROWS),
            min(width - j, COLUMNS),
          );
        }
      }
      panel += sizeA;
    }
    b += 2 * sizeB;
  }
}
