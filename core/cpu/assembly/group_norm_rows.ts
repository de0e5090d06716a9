/** Group normalisation where a group is a whole row of channels, as in layer normalisation. */
import { GroupNorm, scaled } from "./group_norm_job";
import { constant } from "./math";
import { total } from "./normalization";
import { job } from "./pool";

/** Whether the groups of a norm are rows of whole vectors, without SiLU. */
export function isInRows(n: GroupNorm): bool {
  return n.positions == 1 && n.groups == 1 && n.channels % 8 == 0 && !n.silu;
}

export function normalizeRow(row: i32): void {
  const n = changetype<GroupNorm>(job);
  const bytes = <usize> n.channels << 2, offset = <usize> row * bytes;
  const x = n.x + offset, end = x + bytes, size = <f64> n.channels;
  let centre = constant(0);
  if (n.centred) {
    let a = constant(0), b = a;
    for (let at = x; at < end; at += 32) {
      a = f32x4.add(a, v128.load(at));
      b = f32x4.add(b, v128.load(at, 16));
    }
    centre = constant(<f32> (total(f32x4.add(a, b)) / size));
  }
  // The mean is rounded, so the variance is corrected by the remainder.
  let restA = constant(0), restB = restA, squaresA = restA, squaresB = restA;
  for (let at = x; at < end; at += 32) {
    const a = f32x4.sub(v128.load(at), centre), b = f32x4.sub(v128.load(at, 16), centre);
    restA = f32x4.add(restA, a);
    restB = f32x4.add(restB, b);
    squaresA = f32x4.add(squaresA, f32x4.mul(a, a));
    squaresB = f32x4.add(squaresB, f32x4.mul(b, b));
  }
  const rest = n.centred ? total(f32x4.add(restA, restB)) / size : 0;
  const squares = total(f32x4.add(squaresA, squaresB)) / size;
  const scale = <f32> (1 / Math.sqrt(squares - rest * rest + <f64> n.epsilon));
  const left = constant(<f32> rest), inverse = constant(scale);
  let out = n.out + offset, channel: usize = 0;
  for (let at = x; at < end; at += 16, out += 16, channel += 16) {
    const centred = f32x4.sub(f32x4.sub(v128.load(at), centre), left);
    v128.store(out, scaled(n, f32x4.mul(centred, inverse), channel));
  }
  const kept = n.statistics + (<usize> row << 3);
  store<f32>(kept, <f32> (<f64> f32x4.extract_lane(centre, 0) + rest));
  store<f32>(kept, scale, 4);
}

/** (h − mean h − x̂·mean(h·x̂))/σ with h = g·gain. */
export function gradientRow(row: i32): void {
  const n = changetype<GroupNorm>(job);
  const bytes = <usize> n.channels << 2, offset = <usize> row * bytes;
  const x = n.x + offset, gradient = n.gradient + offset, out = n.out + offset;
  const kept = n.statistics + (<usize> row << 3), size = <f64> n.channels;
  const mean = v128.load32_splat(kept), inverse = v128.load32_splat(kept, 4);
  let sumA = constant(0), sumB = sumA, dotA = sumA, dotB = sumA;
  for (let at: usize = 0; at < bytes; at += 32) {
    const a = f32x4.mul(v128.load(gradient + at), v128.load(n.gain + at));
    const b = f32x4.mul(v128.load(gradient + at, 16), v128.load(n.gain + at, 16));
    sumA = f32x4.add(sumA, a);
    sumB = f32x4.add(sumB, b);
    dotA = f32x4.add(dotA, f32x4.mul(a, f32x4.sub(v128.load(x + at), mean)));
    dotB = f32x4.add(dotB, f32x4.mul(b, f32x4.sub(v128.load(x + at, 16), mean)));
  }
  const scale = f32x4.extract_lane(inverse, 0);
  const meanH = constant(n.centred ? <f32> (total(f32x4.add(sumA, sumB)) / size) : 0);
  const slope = constant(<f32> (total(f32x4.add(dotA, dotB)) / size * <f64> scale * <f64> scale));
  for (let at: usize = 0; at < bytes; at += 16) {
    const h = f32x4.sub(f32x4.mul(v128.load(gradient + at), v128.load(n.gain + at)), meanH);
    const own = f32x4.mul(f32x4.sub(v128.load(x + at), mean), slope);
    v128.store(out + at, f32x4.mul(f32x4.sub(h, own), inverse));
  }
}

/** The sums over rows [from, to) for gain and shift. */
export function partRows(n: GroupNorm, from: i32, to: i32, gains: usize, shifts: usize): void {
  const bytes = <usize> n.channels << 2, end = n.x + <usize> to * bytes;
  memory.fill(gains, 0, bytes);
  memory.fill(shifts, 0, bytes);
  let x = n.x + <usize> from * bytes, gradient = n.gradient + <usize> from * bytes;
  let kept = n.statistics + (<usize> from << 3);
  for (; x < end; x += bytes, gradient += bytes, kept += 8) {
    const mean = v128.load32_splat(kept), inverse = v128.load32_splat(kept, 4);
    for (let at: usize = 0; at < bytes; at += 16) {
      const g = v128.load(gradient + at), centred = f32x4.sub(v128.load(x + at), mean);
      const gain = f32x4.mul(g, f32x4.mul(centred, inverse));
      v128.store(gains + at, f32x4.add(v128.load(gains + at), gain));
      v128.store(shifts + at, f32x4.add(v128.load(shifts + at), g));
    }
  }
}
