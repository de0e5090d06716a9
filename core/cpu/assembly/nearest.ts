/** The nearest key of every query, tile by tile: the matrix of similarities is never in memory.
 *
 * A similarity is scaleK·scaleQ·(q·k) + shift, up to a number that is the same for all keys:
 * l2: 2·q·k − ‖k‖²; cos: q·k / (‖k‖·‖q‖). Gumbel noise may be added.
 */
import { job, parallel, scratch } from "./pool";
import { ADD, COLUMNS, depthStep, PANELS_A, ROWS, tileAside } from "./gemm";
import { interleave6, interleave8 } from "./pack";
import { choose, constant, log } from "./math";
import { Key, philox } from "./philox";

/** Most rows of a task. */
const BLOCK_ROWS: i32 = 96;
/** Bytes of scratch memory for a task's packed queries. */
const ROOM: i32 = 983040;

// A thread's scratch memory, before the packed queries: for each row, the greatest similarities of eight columns
// and their keys.
const BEST: usize = 16384;
const BEST_BYTES: usize = 64;

/** What the host writes to `job`. */
@unmanaged
class Nearest {
  queries: usize;
  keys: usize;
  out: usize;
  packed: usize; // room for depth · (keys rounded up to 8) floats
  scaleK: usize; // a float for each key, rounded up to 8; likewise shift
  shift: usize;
  count: i32; // queries
  size: i32; // keys
  depth: i32;
  cosine: i32;
  noisy: i32;
}

/** Where the host writes the key of the noise. */
const KEY: usize = job + 64;

function paddedKeys(n: Nearest): i32 {
  return (n.size + COLUMNS - 1) & ~(COLUMNS - 1);
}

function squaredNorm(x: usize, depth: i32): f32 {
  let sum = constant(0), left = depth;
  for (; left >= 4; left -= 4, x += 16) {
    const v = v128.load(x);
    sum = f32x4.add(sum, f32x4.mul(v, v));
  }
  let total = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) +
    (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
  for (; left > 0; left--, x += 4) total += load<f32>(x) * load<f32>(x);
  return total;
}

/** 1 / max(‖x‖, 1e−12) */
function inverseNorm(x: usize, depth: i32): f32 {
  return 1 / max<f32>(Mathf.sqrt(squaredNorm(x, depth)), 1e-12);
}

/** Packs a panel of eight keys and finds their scales and shifts; what is beyond the last key never wins. */
function packTask(panel: i32): void {
  const n = changetype<Nearest>(job);
  const key = panel * COLUMNS, valid = min(n.size - key, COLUMNS);
  const step = depthStep(n.depth), bytes = <usize> n.depth << 2;
  const from = n.keys + <usize> key * bytes;
  for (let k = 0; k < n.depth; k += step) {
    const length = min(step, n.depth - k);
    const to = n.packed + (<usize> (k * paddedKeys(n) + panel * length * COLUMNS) << 2);
    interleave8(to, from + (<usize> k << 2), bytes, valid, length);
  }
  for (let i = 0; i < COLUMNS; i++) {
    const at = <usize> (key + i) << 2;
    let scale: f32 = 0, shift: f32 = NaN;
    if (i < valid) {
      const row = from + <usize> i * bytes;
      scale = n.cosine ? inverseNorm(row, n.depth) : 2;
      shift = n.cosine ? 0 : -squaredNorm(row, n.depth);
    }
    store<f32>(n.scaleK + at, scale);
    store<f32>(n.shift + at, shift);
  }
}

function rowsPerTask(n: Nearest): i32 {
  return max(ROWS, min(BLOCK_ROWS, ROOM / (n.depth * ROWS << 2) * ROWS));
}

/** Packs queries [first, first + height): for each six of them, all stretches of the depth. */
function packQueries(n: Nearest, first: i32, height: i32): void {
  const step = depthStep(n.depth);
  let to = scratch + PANELS_A;
  for (let i = 0; i < height; i += ROWS) {
    for (let j = 0; j < ROWS; j++) {
      const row = first + min(i + j, height - 1);
      const address = n.queries + (<usize> (row * n.depth) << 2);
      store<u32>(scratch + (<usize> j << 2), <u32> address);
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

/** Keeps the greater similarity of each of four columns, and its key. */
@inline
function keepGreater(at: usize, value: v128, keys: v128): void {
  const best = v128.load(at);
  const wins = f32x4.gt(value, best);
  v128.store(at, choose(wins, value, best));
  v128.store(at, choose(wins, keys, v128.load(at, 32)), 32);
}

/** Compares a tile of products, six queries by eight keys, with what each query has so far. */
function compare(n: Nearest, products: usize, query: i32, rows: i32, key: i32, best: usize): void {
  const at = <usize> key << 2;
  const scale0 = v128.load(n.scaleK + at), scale1 = v128.load(n.scaleK + at, 16);
  const shift0 = v128.load(n.shift + at), shift1 = v128.load(n.shift + at, 16);
  const keys0 = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
  const keys1 = i32x4.add(keys0, i32x4.splat(4));
  for (let row = 0; row < rows; row++) {
    let value0 = f32x4.mul(v128.load(products), scale0);
    let value1 = f32x4.mul(v128.load(products, 16), scale1);
    if (n.noisy) {
      if (n.cosine) {
        const from = n.queries + (<usize> ((query + row) * n.depth) << 2);
        const scale = constant(inverseNorm(from, n.depth));
        value0 = f32x4.mul(value0, scale);
        value1 = f32x4.mul(value1, scale);
      }
      const noise = changetype<Key>(KEY), block = <u32> key >> 2;
      value0 = f32x4.add(value0, gumbel(philox(noise, block, query + row)));
      value1 = f32x4.add(value1, gumbel(philox(noise, block + 1, query + row)));
    }
    keepGreater(best, f32x4.add(value0, shift0), keys0);
    keepGreater(best + 16, f32x4.add(value1, shift1), keys1);
    products += 32;
    best += BEST_BYTES;
  }
}

/** The best of a query's eight columns: the greatest, the lowest key among equals. */
function bestKey(best: usize): i32 {
  let greatest: f32 = -Infinity, key = 0;
  for (let column: usize = 0; column < 8; column++) {
    const value = load<f32>(best + (column << 2)), own = load<i32>(best + (column << 2), 32);
    if (value > greatest || (value == greatest && own < key)) {
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
  const width = paddedKeys(n);
  for (let key = 0; key < n.size; key += COLUMNS) {
    for (let i = 0; i < height; i += ROWS) {
      let a = scratch + PANELS_A + <usize> (i / ROWS) * panelBytes, products: usize = 0;
      for (let k = 0; k < n.depth; k += step) {
        const length = min(step, n.depth - k);
        const b = n.packed + (<usize> (k * width + key * length) << 2);
        products = tileAside(length, a, b, k > 0 ? ADD : 0);
        a += <usize> (length * ROWS) << 2;
      }
      const best = scratch + BEST + <usize> i * BEST_BYTES;
      compare(n, products, first + i, min(ROWS, height - i), key, best);
    }
  }
  for (let row = 0; row < height; row++) {
    const key = bestKey(scratch + BEST + <usize> row * BEST_BYTES);
    store<i32>(n.out + (<usize> (first + row) << 2), key);
  }
}

export function nearest(): void {
  const n = changetype<Nearest>(job);
  parallel(packTask, paddedKeys(n) / COLUMNS);
  const block = rowsPerTask(n);
  parallel(nearestTask, (n.count + block - 1) / block);
}
