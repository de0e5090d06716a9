/** The nearest key of every query, tile by tile, so that the matrix of similarities is never in memory.
 *
 * A similarity is (nq + nk) + factor·(q·k): with the negated squared norms and 2 for l2, with zeros and 1 for the
 * cosine of normalised rows. Gumbel noise may be added.
 */
import { job, parallel, scratch } from "./pool";
import { ADD, COLUMNS, depthStep, padded, PANELS_A, PANELS_B, ROWS, tileAside } from "./gemm";
import { interleave6, interleave8 } from "./pack";
import { choose, constant, log } from "./math";
import { Key, philox } from "./philox";

/** The maximum number of queries in a task. */
const BLOCK_ROWS: i32 = 96;
/** The size in bytes of the scratch memory for a task's packed queries. */
const ROOM: i32 = 983040;

// A thread's scratch memory, before the packed queries.
/** For each query its term nq of the similarities. */
const QUERY_NORMS: usize = 12288;
/** For each query, the largest similarities of eight columns and their keys. */
const BEST: usize = 16384;
const BEST_BYTES: usize = 64;

/** What the host writes to `job`. */
@unmanaged
class Nearest {
  queries: usize;
  keys: usize;
  out: usize;
  packed: usize; // room for depth · (keys rounded up to 8) floats
  keyNorms: usize; // nk, a float for each key, their number rounded up to 8
  count: i32; // queries
  size: i32; // keys
  depth: i32;
  cosine: i32;
  noisy: i32;
}

/** Where the host writes the key of the noise. */
const KEY: usize = job + 64;

function squaredNorm(x: usize, depth: i32): f64 {
  let sum = f64x2.splat(0), left = depth;
  for (; left >= 2; left -= 2, x += 8) {
    const pair = f64x2.promote_low_f32x4(v128.load64_zero(x));
    sum = f64x2.add(sum, f64x2.mul(pair, pair));
  }
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  if (left) total += <f64> load<f32>(x) * <f64> load<f32>(x);
  return total;
}

/** to = x / max(‖x‖, 1e−12) */
function normalize(to: usize, x: usize, depth: i32): void {
  const norm = <f32> max(Math.sqrt(squaredNorm(x, depth)), 1e-12);
  let left = depth;
  for (; left >= 4; left -= 4, x += 16, to += 16) {
    v128.store(to, f32x4.div(v128.load(x), constant(norm)));
  }
  for (; left > 0; left--, x += 4, to += 4) store<f32>(to, load<f32>(x) / norm);
}

/** Returns the address of `count` adjacent rows, normalised if necessary, and writes their norms to `norms`. */
function prepare(n: Nearest, rows: usize, count: i32, norms: usize): usize {
  const bytes = <usize> n.depth << 2, room = scratch + PANELS_B;
  for (let i = 0; i < count; i++) {
    const row = rows + <usize> i * bytes;
    const norm: f32 = n.cosine ? <f32> 0 : -<f32> squaredNorm(row, n.depth);
    store<f32>(norms + (<usize> i << 2), norm);
    if (n.cosine) normalize(room + <usize> i * bytes, row, n.depth);
  }
  return n.cosine ? room : rows;
}

/** Packs a panel of eight keys. Columns beyond the last key never win. */
function packTask(panel: i32): void {
  const n = changetype<Nearest>(job);
  const key = panel * COLUMNS, valid = min(n.size - key, COLUMNS);
  const step = depthStep(n.depth), bytes = <usize> n.depth << 2;
  const norms = n.keyNorms + (<usize> key << 2);
  const rows = prepare(n, n.keys + <usize> key * bytes, valid, norms);
  for (let i = valid; i < COLUMNS; i++) store<f32>(norms + (<usize> i << 2), NaN);
  for (let k = 0; k < n.depth; k += step) {
    const length = min(step, n.depth - k);
    const to = n.packed + (<usize> (k * padded(n.size) + panel * length * COLUMNS) << 2);
    interleave8(to, rows + (<usize> k << 2), bytes, valid, length);
  }
}

function rowsPerTask(n: Nearest): i32 {
  return max(ROWS, min(BLOCK_ROWS, ROOM / (n.depth * ROWS << 2) * ROWS));
}

/** Packs queries [first, first + height) six at a time, with all blocks of the depth. */
function packQueries(n: Nearest, first: i32, height: i32): void {
  const step = depthStep(n.depth), bytes = <usize> n.depth << 2;
  let to = scratch + PANELS_A;
  for (let i = 0; i < height; i += ROWS) {
    const norms = scratch + QUERY_NORMS + (<usize> i << 2);
    const valid = min(ROWS, height - i);
    const rows = prepare(n, n.queries + <usize> (first + i) * bytes, valid, norms);
    for (let j = 0; j < ROWS; j++) {
      store<u32>(scratch + (<usize> j << 2), <u32> (rows + <usize> min(j, valid - 1) * bytes));
    }
    for (let k = 0; k < n.depth; k += step) {
      const length = min(step, n.depth - k);
      interleave6(to, scratch, <usize> k << 2, length);
      to += <usize> (length * ROWS) << 2;
    }
  }
}

/** −ln(−ln u) of four words. */
@inline
function gumbel(words: v128): v128 {
  const high = f32x4.convert_i32x4_s(i32x4.shr_u(words, 9));
  const u = f32x4.mul(f32x4.add(high, constant(0.5)), constant(1.1920928955078125e-7));
  return f32x4.neg(log(f32x4.neg(log(u))));
}

/** Keeps the larger similarity of each of four columns, the later among equals, and its key. */
@inline
function keepGreater(at: usize, value: v128, keys: v128): void {
  const best = v128.load(at);
  const wins = f32x4.ge(value, best);
  v128.store(at, choose(wins, value, best));
  v128.store(at, choose(wins, keys, v128.load(at, 32)), 32);
}

/** Compares a tile of products, six queries by eight keys, with the best of each query so far.
 * @param row the index of the first query within the task; `query` is its index among all queries
 */
function compare(n: Nearest, products: usize, row: i32, query: i32, rows: i32, key: i32): void {
  const factor = constant(n.cosine ? 1 : 2), norms = n.keyNorms + (<usize> key << 2);
  const norm0 = v128.load(norms), norm1 = v128.load(norms, 16);
  const keys0 = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
  const keys1 = i32x4.add(keys0, i32x4.splat(4));
  let own = scratch + QUERY_NORMS + (<usize> row << 2);
  let best = scratch + BEST + <usize> row * BEST_BYTES;
  for (let i = 0; i < rows; i++) {
    const norm = v128.load32_splat(own);
    const product0 = f32x4.mul(v128.load(products), factor);
    const product1 = f32x4.mul(v128.load(products, 16), factor);
    let value0 = f32x4.add(f32x4.add(norm, norm0), product0);
    let value1 = f32x4.add(f32x4.add(norm, norm1), product1);
    if (n.noisy) {
      const noise = changetype<Key>(KEY), block = <u32> key >> 2;
      value0 = f32x4.add(value0, gumbel(philox(noise, block, query + i)));
      value1 = f32x4.add(value1, gumbel(philox(noise, block + 1, query + i)));
    }
    keepGreater(best, value0, keys0);
    keepGreater(best + 16, value1, keys1);
    products += 32;
    own += 4;
    best += BEST_BYTES;
  }
}

/** The best of a query's eight columns: the largest similarity, the highest key among equals. */
function bestKey(best: usize): i32 {
  let greatest: f32 = -Infinity, key = 0;
  for (let column: usize = 0; column < 8; column++) {
    const value = load<f32>(best + (column << 2)), own = load<i32>(best + (column << 2), 32);
    if (value > greatest || (value == greatest && own > key)) {
      greatest = value;
      key = own;
    }
  }
  return key;
}

function nearestTask(index: i32): void {
  const n = changetype<Nearest>(job);
  const block = rowsPerTask(n), first = index * block, height = min(block, n.count - first);
  const step = depthStep(n.depth), panelBytes = <usize> (n.depth * ROWS) << 2;
  packQueries(n, first, height);
  for (let row = 0; row < height; row++) {
    const best = scratch + BEST + <usize> row * BEST_BYTES;
    for (let at: usize = 0; at < 32; at += 16) {
      v128.store(best + at, constant(-Infinity));
      v128.store(best + at, i32x4.splat(0), 32);
    }
  }
  const width = padded(n.size);
  for (let key = 0; key < n.size; key += COLUMNS) {
    for (let i = 0; i < height; i += ROWS) {
      let a = scratch + PANELS_A + <usize> (i / ROWS) * panelBytes, products: usize = 0;
      for (let k = 0; k < n.depth; k += step) {
        const length = min(step, n.depth - k);
        const b = n.packed + (<usize> (k * width + key * length) << 2);
        products = tileAside(length, a, b, k > 0 ? ADD : 0);
        a += <usize> (length * ROWS) << 2;
      }
      compare(n, products, i, first + i, min(ROWS, height - i), key);
    }
  }
  for (let row = 0; row < height; row++) {
    const key = bestKey(scratch + BEST + <usize> row * BEST_BYTES);
    store<i32>(n.out + (<usize> (first + row) << 2), key);
  }
}

export function nearest(): void {
  const n = changetype<Nearest>(job);
  parallel(packTask, padded(n.size) / COLUMNS);
  const block = rowsPerTask(n);
  parallel(nearestTask, (n.count + block - 1) / block);
}
