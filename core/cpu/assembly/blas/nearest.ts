/** The nearest key of every query by BLAS: the products of some queries with some keys at a time, compared while they
 * are in the cache. See ../nearest.ts for what a similarity is.
 */
import { job, parallel, scratch } from "../pool";
import { padded } from "../gemm";
import { choose, constant } from "../math";
import { Key, philox } from "../philox";
import {
  BEST,
  BEST_BYTES,
  bestKey,
  gumbel,
  KEY,
  Nearest,
  normalize,
  prepare,
  QUERY_NORMS,
  squaredNorm,
} from "../nearest";
import { gemm, TILE } from "./gemm";

/** Most queries of a task. */
const BLOCK_QUERIES: i32 = 128;
/** Keys that they are compared with at a time. */
const BLOCK_KEYS: i32 = 512;
/** Floats of a task's queries, at most: what `prepare` has room for. */
const ROOM: i32 = 1 << 18;
/** Keys that are prepared at a time. */
const GROUP: i32 = 8;

/** Prepares eight keys: their norms, and for the cosine the normalised rows. */
function keysTask(index: i32): void {
  const n = changetype<Nearest>(job), bytes = <usize> n.depth << 2;
  for (let key = index * GROUP; key < (index + 1) * GROUP; key++) {
    const row = n.keys + <usize> key * bytes;
    let norm: f32 = NaN; // what is beyond the last key never wins
    if (key < n.size) {
      norm = n.cosine ? <f32> 0 : -<f32> squaredNorm(row, n.depth);
      if (n.cosine) normalize(n.packed + <usize> key * bytes, row, n.depth);
    }
    store<f32>(n.keyNorms + (<usize> key << 2), norm);
  }
}

/** Compares a query's products with the keys from `key` on with the best that it has so far. */
function compareRow(n: Nearest, products: usize, row: i32, query: i32, key: i32, count: i32): void {
  const factor = constant(n.cosine ? 1 : 2);
  const norm = v128.load32_splat(scratch + QUERY_NORMS + (<usize> row << 2));
  const best = scratch + BEST + <usize> row * BEST_BYTES;
  let norms = n.keyNorms + (<usize> key << 2);
  let keys = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
  let best0 = v128.load(best), best1 = v128.load(best, 16);
  let keys0 = v128.load(best, 32), keys1 = v128.load(best, 48);
  for (let at = 0; at < count; at += 8) {
    const product0 = f32x4.mul(v128.load(products), factor);
    const product1 = f32x4.mul(v128.load(products, 16), factor);
    let value0 = f32x4.add(f32x4.add(norm, v128.load(norms)), product0);
    let value1 = f32x4.add(f32x4.add(norm, v128.load(norms, 16)), product1);
    if (n.noisy) {
      const noise = changetype<Key>(KEY), block = <u32> (key + at) >> 2;
      value0 = f32x4.add(value0, gumbel(philox(noise, block, query)));
      value1 = f32x4.add(value1, gumbel(philox(noise, block + 1, query)));
    }
    const wins0 = f32x4.ge(value0, best0), wins1 = f32x4.ge(value1, best1);
    best0 = choose(wins0, value0, best0);
    keys0 = choose(wins0, keys, keys0);
    keys = i32x4.add(keys, i32x4.splat(4));
    best1 = choose(wins1, value1, best1);
    keys1 = choose(wins1, keys, keys1);
    keys = i32x4.add(keys, i32x4.splat(4));
    products += 32;
    norms += 32;
  }
  v128.store(best, best0);
  v128.store(best, best1, 16);
  v128.store(best, keys0, 32);
  v128.store(best, keys1, 48);
}

function queriesPerTask(n: Nearest): i32 {
  return min(BLOCK_QUERIES, ROOM / n.depth);
}

function nearestTask(index: i32): void {
  const n = changetype<Nearest>(job), bytes = <usize> n.depth << 2;
  const block = queriesPerTask(n), first = index * block, height = min(block, n.count - first);
  const queries = prepare(n, n.queries + <usize> first * bytes, height, scratch + QUERY_NORMS);
  for (let row = 0; row < height; row++) {
    const best = scratch + BEST + <usize> row * BEST_BYTES;
    for (let at: usize = 0; at < 32; at += 16) {
      v128.store(best + at, constant(-Infinity));
      v128.store(best + at, i32x4.splat(0), 32);
    }
  }
  const keys = n.cosine ? n.packed : n.keys, products = scratch + TILE;
  for (let key = 0; key < n.size; key += BLOCK_KEYS) {
    const count = min(BLOCK_KEYS, n.size - key), from = keys + <usize> key * bytes;
    gemm(0, 1, height, count, n.depth, queries, n.depth, from, n.depth, 0, products, BLOCK_KEYS);
    for (let row = 0; row < height; row++) {
      const at = products + (<usize> (row * BLOCK_KEYS) << 2);
      compareRow(n, at, row, first + row, key, count);
    }
  }
  for (let row = 0; row < height; row++) {
    const key = bestKey(scratch + BEST + <usize> row * BEST_BYTES);
    store<i32>(n.out + (<usize> (first + row) << 2), key);
  }
}

/** Takes the job that `nearest` takes. */
export function blasNearest(): void {
  const n = changetype<Nearest>(job), block = queriesPerTask(n);
  parallel(keysTask, padded(n.size) / GROUP);
  parallel(nearestTask, (n.count + block - 1) / block);
}
