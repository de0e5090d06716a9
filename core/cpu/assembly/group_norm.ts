/** Group normalisation with gain and shift, and SiLU, in one pass over the output: [batch, positions, channels]. */
import { job, parallel } from "./pool";
import { constant, sigmoid } from "./math";
import { storeLanes } from "./elementwise";
import { firstLanes, productRow, sumRow, total } from "./normalization";
import { sumParts } from "./parts";

/** Elements that are worth a task. */
const CHUNK: i32 = 8192;
/** Elements of a part of the sums over all positions, and the most parts. */
const PART: i32 = 65536;
const MOST_PARTS: i32 = 64;

/** What the host writes to `job`. */
@unmanaged
class GroupNorm {
  x: usize;
  statistics: usize; // mean and 1/σ, [batch, groups, 2]
  gradient: usize;
  gain: usize;
  shift: usize; // 0: none
  out: usize;
  batch: i32;
  positions: i32;
  channels: i32;
  groups: i32;
  centred: i32;
  silu: i32;
  epsilon: f32;
}

/** gain·x̂ + shift of four channels from `channel` bytes on. */
@inline
function scaled(n: GroupNorm, normalized: v128, channel: usize): v128 {
  const u = f32x4.mul(normalized, v128.load(n.gain + channel));
  return n.shift ? f32x4.add(u, v128.load(n.shift + channel)) : u;
}

/** g·(dy/du) of four channels. */
@inline
function slope(n: GroupNorm, g: v128, normalized: v128, channel: usize): v128 {
  if (!n.silu) return g;
  const one = constant(1), u = scaled(n, normalized, channel), s = sigmoid(u);
  const rest = f32x4.mul(u, f32x4.sub(one, s));
  return f32x4.mul(g, f32x4.mul(s, f32x4.add(one, rest)));
}

@inline
function keep(to: usize, value: v128, left: i32): void {
  if (left >= 4) v128.store(to, value);
  else storeLanes(to, value, left);
}

function normalizeGroup(group: i32): void {
  const n = changetype<GroupNorm>(job);
  const width = n.channels / n.groups, batch = group / n.groups;
  const first = (group - batch * n.groups) * width;
  const offset = <usize> (batch * n.positions * n.channels + first) << 2;
  const stride = <usize> n.channels << 2, x = n.x + offset;
  const size = <f64> (n.positions * width);
  let mean: f64 = 0;
  if (n.centred) {
    for (let s = 0; s < n.positions; s++) mean += sumRow(x + <usize> s * stride, width, constant(0));
    mean /= size;
  }
  // The mean is rounded: what is left of it is taken off the variance.
  const centre = constant(<f32> mean);
  let rest: f64 = 0, squares: f64 = 0;
  for (let s = 0; s < n.positions; s++) {
    const row = x + <usize> s * stride;
    if (n.centred) rest += sumRow(row, width, centre);
    squares += productRow(row, row, width, centre);
  }
  rest /= size;
  const scale = <f32> (1 / Math.sqrt(squares / size - rest * rest + <f64> n.epsilon));
  const left = constant(<f32> rest), inverse = constant(scale);
  for (let s = 0; s < n.positions; s++) {
    let from = x + <usize> s * stride, to = n.out + offset + <usize> s * stride;
    let channel = <usize> first << 2;
    for (let count = width; count > 0; count -= 4, from += 16, to += 16, channel += 16) {
      const centred = f32x4.sub(f32x4.sub(v128.load(from), centre), left);
      let u = scaled(n, f32x4.mul(centred, inverse), channel);
      if (n.silu) u = f32x4.mul(u, sigmoid(u));
      keep(to, u, count);
    }
  }
  const kept = n.statistics + (<usize> group << 3);
  store<f32>(kept, <f32> (<f64> <f32> mean + rest));
  store<f32>(kept, scale, 4);
}

/** With h = g·(dy/du)·gain, which the output holds meanwhile: (h − mean h − x̂·mean(h·x̂))/σ. */
function gradientGroup(group: i32): void {
  const n = changetype<GroupNorm>(job);
  const width = n.channels / n.groups, batch = group / n.groups;
  const first = (group - batch * n.groups) * width;
  const offset = <usize> (batch * n.positions * n.channels + first) << 2;
  const stride = <usize> n.channels << 2, size = <f64> (n.positions * width);
  const kept = n.statistics + (<usize> group << 3);
  const mean = v128.load32_splat(kept), inverse = v128.load32_splat(kept, 4);
  let sum: f64 = 0, products: f64 = 0;
  for (let s = 0; s < n.positions; s++) {
    let at = offset + <usize> s * stride, channel = <usize> first << 2;
    let sums = constant(0), dots = constant(0);
    for (let left = width; left > 0; left -= 4, at += 16, channel += 16) {
      const normalized = f32x4.mul(f32x4.sub(v128.load(n.x + at), mean), inverse);
      const g = slope(n, v128.load(n.gradient + at), normalized, channel);
      const h = f32x4.mul(g, v128.load(n.gain + channel));
      keep(n.out + at, h, left);
      sums = f32x4.add(sums, firstLanes(h, left));
      dots = f32x4.add(dots, firstLanes(f32x4.mul(h, normalized), left));
    }
    sum += total(sums);
    products += total(dots);
  }
  const meanH = constant(n.centred ? <f32> (sum / size) : 0);
  const meanHX = constant(<f32> (products / size));
  for (let s = 0; s < n.positions; s++) {
    let at = offset + <usize> s * stride;
    for (let left = width; left > 0; left -= 4, at += 16) {
      const normalized = f32x4.mul(f32x4.sub(v128.load(n.x + at), mean), inverse);
      const h = f32x4.sub(v128.load(n.out + at), meanH);
      keep(n.out + at, f32x4.mul(f32x4.sub(h, f32x4.mul(normalized, meanHX)), inverse), left);
    }
  }
}

/** Positions of all samples in a part of the sums. */
function partLength(n: GroupNorm): i32 {
  const rows = n.batch * n.positions;
  const least = (rows + MOST_PARTS - 1) / MOST_PARTS;
  return max(max(PART / n.channels, 1), least);
}

/** Sums over a part of all positions: those of gain, then those of shift. */
function partTask(index: i32): void {
  const n = changetype<GroupNorm>(job);
  const rows = n.batch * n.positions, length = partLength(n), width = n.channels / n.groups;
  const stride = <usize> n.channels << 2;
  const gains = n.out + <usize> index * 2 * stride, shifts = gains + stride;
  memory.fill(gains, 0, 2 * stride);
  for (let row = index * length; row < min((index + 1) * length, rows); row++) {
    let kept = n.statistics + (<usize> (row / n.positions * n.groups) << 3);
    for (let group = 0; group < n.groups; group++, kept += 8) {
      const mean = v128.load32_splat(kept), inverse = v128.load32_splat(kept, 4);
      let channel = <usize> (group * width) << 2;
      for (let left = width; left > 0; left -= 4, channel += 16) {
        const at = <usize> row * stride + channel;
        const normalized = f32x4.mul(f32x4.sub(v128.load(n.x + at), mean), inverse);
        const g = slope(n, v128.load(n.gradient + at), normalized, channel);
        const gain = f32x4.add(v128.load(gains + channel), f32x4.mul(g, normalized));
        const shift = f32x4.add(v128.load(shifts + channel), g);
        keep(gains + channel, gain, left);
        keep(shifts + channel, shift, left);
      }
    }
  }
}

function groupsPerTask(n: GroupNorm): i32 {
  return max(1, CHUNK / (n.positions * (n.channels / n.groups)));
}

function lastGroup(n: GroupNorm, index: i32): i32 {
  return min((index + 1) * groupsPerTask(n), n.batch * n.groups);
}

function tasks(): i32 {
  const n = changetype<GroupNorm>(job), each = groupsPerTask(n);
  return (n.batch * n.groups + each - 1) / each;
}

export function groupNorm(): void {
  parallel((index) => {
    const n = changetype<GroupNorm>(job), last = lastGroup(n, index);
    for (let group = index * groupsPerTask(n); group < last; group++) normalizeGroup(group);
  }, tasks());
}

export function groupNormGradient(): void {
  parallel((index) => {
    const n = changetype<GroupNorm>(job), last = lastGroup(n, index);
    for (let group = index * groupsPerTask(n); group < last; group++) gradientGroup(group);
  }, tasks());
}

export function groupNormParts(): i32 {
  const n = changetype<GroupNorm>(job), length = partLength(n);
  return (n.batch * n.positions + length - 1) / length;
}

/** @param partials room for groupNormParts() · 2 · channels floats */
export function groupNormParameterGradient(partials: usize): void {
  const n = changetype<GroupNorm>(job);
  const parts = groupNormParts(), out = n.out, size = 2 * n.channels;
  n.out = partials;
  parallel(partTask, parts);
  sumParts(partials, out, size, parts);
}
