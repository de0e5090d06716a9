/** Normalisation over groups of [batch, positions, channels]: adjacent channels of one sample at all positions. */
import { job, parallel } from "./pool";
import { constant } from "./math";
import { storeLanes } from "./elementwise";

/** The approximate number of elements in a task. */
const CHUNK: i32 = 8192;

/** What the host writes to `job`. */
@unmanaged
class Normalization {
  x: usize; // normalised, for the gradient
  scale: usize; // 1/σ, [batch, groups]
  gradient: usize;
  out: usize;
  batch: i32;
  positions: i32;
  channels: i32;
  groups: i32;
  epsilon: f32;
}

/** Adds up the four lanes in float64. */
@inline
export function total(x: v128): f64 {
  const low = f64x2.promote_low_f32x4(x);
  const high = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
  const pair = f64x2.add(low, high);
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

/** Zeroes all lanes but the first `count`. */
@inline
export function firstLanes(x: v128, count: i32): v128 {
  const lanes = i32x4(0, 1, 2, 3);
  return v128.and(x, i32x4.lt_s(lanes, i32x4.splat(count)));
}

/** Σ (x − c) over a row. */
export function sumRow(x: usize, width: i32, c: v128): f64 {
  let sum = constant(0), left = width;
  for (; left >= 4; left -= 4, x += 16) sum = f32x4.add(sum, f32x4.sub(v128.load(x), c));
  if (left) sum = f32x4.add(sum, firstLanes(f32x4.sub(v128.load(x), c), left));
  return total(sum);
}

/** Σ (x − c)·(y − c) over a row. */
export function productRow(x: usize, y: usize, width: i32, c: v128): f64 {
  let sum = constant(0), left = width;
  for (; left >= 4; left -= 4, x += 16, y += 16) {
    sum = f32x4.add(sum, f32x4.mul(f32x4.sub(v128.load(x), c), f32x4.sub(v128.load(y), c)));
  }
  if (left) {
    const product = f32x4.mul(f32x4.sub(v128.load(x), c), f32x4.sub(v128.load(y), c));
    sum = f32x4.add(sum, firstLanes(product, left));
  }
  return total(sum);
}

/** x̂ = (x − mean)/σ and 1/σ of one group. */
function normalizeGroup(group: i32): void {
  const n = changetype<Normalization>(job);
  const width = n.channels / n.groups, batch = group / n.groups;
  const first = batch * n.positions * n.channels + (group - batch * n.groups) * width;
  const offset = <usize> first << 2, stride = <usize> n.channels << 2;
  const size = <f64> (n.positions * width), x = n.x + offset;
  let sum: f64 = 0;
  for (let s = 0; s < n.positions; s++) sum += sumRow(x + <usize> s * stride, width, constant(0));
  const mean = constant(<f32> (sum / size));
  // The mean is rounded, so the variance is corrected by the remainder.
  let rest: f64 = 0, squares: f64 = 0;
  for (let s = 0; s < n.positions; s++) {
    const row = x + <usize> s * stride;
    rest += sumRow(row, width, mean);
    squares += productRow(row, row, width, mean);
  }
  rest /= size;
  const scale = <f32> (1 / Math.sqrt(squares / size - rest * rest + <f64> n.epsilon));
  const shift = constant(<f32> rest);
  for (let s = 0; s < n.positions; s++) {
    let from = x + <usize> s * stride, to = n.out + offset + <usize> s * stride;
    for (let left = width; left > 0; left -= 4, from += 16, to += 16) {
      const centred = f32x4.sub(f32x4.sub(v128.load(from), mean), shift);
      const value = f32x4.mul(centred, constant(scale));
      if (left >= 4) v128.store(to, value);
      else storeLanes(to, value, left);
    }
  }
  store<f32>(n.scale + (<usize> group << 2), scale);
}

/** (g − mean g − x̂·mean(g·x̂))/σ of one group. */
function gradientGroup(group: i32): void {
  const n = changetype<Normalization>(job);
  const width = n.channels / n.groups, batch = group / n.groups;
  const first = batch * n.positions * n.channels + (group - batch * n.groups) * width;
  const offset = <usize> first << 2, stride = <usize> n.channels << 2;
  const size = <f64> (n.positions * width), zero = constant(0);
  let sum: f64 = 0, products: f64 = 0;
  for (let s = 0; s < n.positions; s++) {
    const at = offset + <usize> s * stride;
    sum += sumRow(n.gradient + at, width, zero);
    products += productRow(n.gradient + at, n.x + at, width, zero);
  }
  const meanG = constant(<f32> (sum / size)), meanGX = constant(<f32> (products / size));
  const scale = v128.load32_splat(n.scale + (<usize> group << 2));
  for (let s = 0; s < n.positions; s++) {
    let at = offset + <usize> s * stride;
    for (let left = width; left > 0; left -= 4, at += 16) {
      const g = f32x4.sub(v128.load(n.gradient + at), meanG);
      const value = f32x4.mul(f32x4.sub(g, f32x4.mul(v128.load(n.x + at), meanGX)), scale);
      if (left >= 4) v128.store(n.out + at, value);
      else storeLanes(n.out + at, value, left);
    }
  }
}

function groupsPerTask(n: Normalization): i32 {
  return max(1, CHUNK / (n.positions * (n.channels / n.groups)));
}

function lastGroup(n: Normalization, index: i32): i32 {
  return min((index + 1) * groupsPerTask(n), n.batch * n.groups);
}

function tasks(): i32 {
  const n = changetype<Normalization>(job), each = groupsPerTask(n);
  return (n.batch * n.groups + each - 1) / each;
}

export function normalize(): void {
  parallel((index) => {
    const n = changetype<Normalization>(job), last = lastGroup(n, index);
    for (let group = index * groupsPerTask(n); group < last; group++) normalizeGroup(group);
  }, tasks());
}

export function normalizeGradient(): void {
  parallel((index) => {
    const n = changetype<Normalization>(job), last = lastGroup(n, index);
    for (let group = index * groupsPerTask(n); group < last; group++) gradientGroup(group);
  }, tasks());
}
