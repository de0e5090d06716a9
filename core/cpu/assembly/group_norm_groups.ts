/** Group normalisation of groups of any length, one group at a time. Sums are accumulated position by position. */
import { storeLanes } from "./elementwise";
import { GroupNorm, scaled, slope } from "./group_norm_job";
import { constant, silu } from "./math";
import { firstLanes, productRow, sumRow, total } from "./normalization";
import { job } from "./pool";

@inline
function keep(to: usize, value: v128, left: i32): void {
  if (left >= 4) v128.store(to, value);
  else storeLanes(to, value, left);
}

export function normalizeGroup(group: i32): void {
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
  // The mean is rounded, so the variance is corrected by the remainder.
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
      if (n.silu) u = silu(u);
      keep(to, u, count);
    }
  }
  const kept = n.statistics + (<usize> group << 3);
  store<f32>(kept, <f32> (<f64> <f32> mean + rest));
  store<f32>(kept, scale, 4);
}

/** (h − mean h − x̂·mean(h·x̂))/σ with h = g·(dy/du)·gain, which is stored in the output in between. */
export function gradientGroup(group: i32): void {
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

/** The sums over rows [from, to) for gain and shift. */
export function partGroups(n: GroupNorm, from: i32, to: i32, gains: usize, shifts: usize): void {
  const width = n.channels / n.groups, stride = <usize> n.channels << 2;
  memory.fill(gains, 0, 2 * stride);
  for (let row = from; row < to; row++) {
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
