/** Group normalisation if each vector of four channels is inside one group, or consists of two or four whole groups. Each
 * lane sums over a few positions in float32 and over all in float64. The sums of a group's lanes are added at the end. */
import { GroupNorm, shiftOf, siluSlope } from "./group_norm_job";
import { constant, silu } from "./math";
import { job } from "./pool";

/** How many vectors are added up in float32. The vectors of one position are never split. */
const VECTORS: usize = 16;

/** Whether the vectors of a norm have this layout. */
export function isInLanes(n: GroupNorm): bool {
  const width = n.channels / n.groups;
  return n.channels % 4 == 0 && (width % 4 == 0 || width <= 2);
}

@inline
function swap(a: v128): v128 {
  return v128.shuffle<f64>(a, a, 1, 0);
}

/** The first two lanes in float64. */
@inline
function low(a: v128): v128 {
  return f64x2.promote_low_f32x4(a);
}

/** The last two. */
@inline
function high(a: v128): v128 {
  return f64x2.promote_low_f32x4(swap(a));
}

/** The sums over groups for two lanes, from the sums of these lanes and of the other two. */
@inline
function ofGroups(own: v128, others: v128, width: i32): v128 {
  if (width == 1) return own;
  const both = width == 2 ? own : f64x2.add(own, others);
  return f64x2.add(both, swap(both));
}

/** Converts twice two lanes of float64 to four of float32. */
@inline
function joined(low: v128, high: v128): v128 {
  const a = f32x4.demote_f64x2_zero(low), b = f32x4.demote_f64x2_zero(high);
  return v128.shuffle<f32>(a, b, 0, 1, 4, 5);
}

/** The saved statistics of the groups of four channels, from a sample's first group on: means (0) or 1/σ (4). */
@inline
function keptOf(kept: usize, channel: i32, width: i32, which: usize): v128 {
  const first = kept + (<usize> (channel / width) << 3) + which;
  if (width >= 4) return v128.load32_splat(first);
  const a = load<f32>(first), step: usize = width == 2 ? 0 : 8;
  const c = first + (width == 2 ? 8 : 16);
  let all = f32x4.splat(a);
  all = f32x4.replace_lane(all, 1, load<f32>(first + step));
  all = f32x4.replace_lane(all, 2, load<f32>(c));
  return f32x4.replace_lane(all, 3, load<f32>(c + step));
}

/** The number of channels that are normalised together. */
@inline
export function spanOf(n: GroupNorm): i32 {
  return max(n.channels / n.groups, 4);
}

/** The number of positions whose vectors are added up in float32 before they are added to the float64 sums. */
@inline
function stretchOf(bytes: usize): usize {
  return max<usize>(VECTORS / (bytes >> 4), 1);
}

/** u = (x − centre − left)·factor + shift of four channels, or silu(u), from `x` to before `end`. */
function write(
  x: usize,
  to: usize,
  stride: usize,
  end: usize,
  centre: v128,
  left: v128,
  factor: v128,
  shift: v128,
  withSilu: i32,
): void {
  for (; x < end; x += stride, to += stride) {
    const centred = f32x4.sub(f32x4.sub(v128.load(x), centre), left);
    const u = f32x4.relaxed_madd(centred, factor, shift);
    v128.store(to, withSilu ? silu(u) : u);
  }
}

export function normalizeLanes(unit: i32): void {
  const n = changetype<GroupNorm>(job);
  const width = n.channels / n.groups, span = spanOf(n), units = n.channels / span;
  const batch = unit / units, first = (unit - batch * units) * span;
  const offset = <usize> (batch * n.positions * n.channels + first) << 2;
  const stride = <usize> n.channels << 2, bytes = <usize> span << 2, x = n.x + offset;
  const size = f64x2.splat(<f64> (n.positions * width)), none = f64x2.splat(0);
  const end = x + <usize> n.positions * stride, stretch = stretchOf(bytes) * stride;
  let centre = constant(0);
  if (n.centred) {
    let a = none, b = none;
    for (let from = x; from < end;) {
      const until = min(from + stretch, end);
      let sum = constant(0);
      for (; from < until; from += stride) {
        for (let at: usize = 0; at < bytes; at += 16) sum = f32x4.add(sum, v128.load(from + at));
      }
      a = f64x2.add(a, low(sum));
      b = f64x2.add(b, high(sum));
    }
    // The mean is rounded, so the variance is corrected by the remainder.
    centre = joined(
      f64x2.div(ofGroups(a, b, width), size),
      f64x2.div(ofGroups(b, a, width), size),
    );
  }
  let restA = none, restB = none, squaresA = none, squaresB = none;
  for (let from = x; from < end;) {
    const until = min(from + stretch, end);
    let rest = constant(0), squares = constant(0);
    for (; from < until; from += stride) {
      for (let at: usize = 0; at < bytes; at += 16) {
        const value = f32x4.sub(v128.load(from + at), centre);
        rest = f32x4.add(rest, value);
        squares = f32x4.add(squares, f32x4.mul(value, value));
      }
    }
    restA = f64x2.add(restA, low(rest));
    restB = f64x2.add(restB, high(rest));
    squaresA = f64x2.add(squaresA, low(squares));
    squaresB = f64x2.add(squaresB, high(squares));
  }
  let leftA = none, leftB = none;
  if (n.centred) {
    leftA = f64x2.div(ofGroups(restA, restB, width), size);
    leftB = f64x2.div(ofGroups(restB, restA, width), size);
  }
  const epsilon = f64x2.splat(<f64> n.epsilon), one = f64x2.splat(1);
  const varianceA = f64x2.sub(
    f64x2.div(ofGroups(squaresA, squaresB, width), size),
    f64x2.mul(leftA, leftA),
  );
  const varianceB = f64x2.sub(
    f64x2.div(ofGroups(squaresB, squaresA, width), size),
    f64x2.mul(leftB, leftB),
  );
  const inverse = joined(
    f64x2.div(one, f64x2.sqrt(f64x2.add(varianceA, epsilon))),
    f64x2.div(one, f64x2.sqrt(f64x2.add(varianceB, epsilon))),
  );
  const left = joined(leftA, leftB);
  for (let at: usize = 0; at < bytes; at += 16) {
    const channel = (<usize> first << 2) + at, shift = shiftOf(n, channel);
    const factor = f32x4.mul(inverse, v128.load(n.gain + channel)), to = n.out + offset + at;
    write(x + at, to, stride, end + at, centre, left, factor, shift, n.silu);
  }
  const mean = joined(f64x2.add(low(centre), leftA), f64x2.add(high(centre), leftB));
  const kept = n.statistics + (<usize> (batch * n.groups + first / width) << 3);
  for (let lane = 0; lane < 4; lane += width) {
    const to = kept + (<usize> (lane / width) << 3);
    store<f32>(to, laneOf(mean, lane));
    store<f32>(to, laneOf(inverse, lane), 4);
  }
}

function laneOf(a: v128, lane: i32): f32 {
  if (lane == 0) return f32x4.extract_lane(a, 0);
  if (lane == 1) return f32x4.extract_lane(a, 1);
  return lane == 2 ? f32x4.extract_lane(a, 2) : f32x4.extract_lane(a, 3);
}

export function gradientLanes(unit: i32): void {
  const n = changetype<GroupNorm>(job);
  const width = n.channels / n.groups, span = spanOf(n), units = n.channels / span;
  const batch = unit / units, first = (unit - batch * units) * span;
  const offset = <usize> (batch * n.positions * n.channels + first) << 2;
  const stride = <usize> n.channels << 2, bytes = <usize> span << 2;
  const kept = n.statistics + (<usize> (batch * n.groups) << 3);
  const mean = keptOf(kept, first, width, 0), inverse = keptOf(kept, first, width, 4);
  const size = f64x2.splat(<f64> (n.positions * width));
  let sumA = f64x2.splat(0), sumB = sumA, dotA = sumA, dotB = sumA;
  const positions = <usize> n.positions * stride, stretch = <usize> VECTORS * stride;
  const withSilu = n.silu;
  for (let column: usize = 0; column < bytes; column += 16) {
    const channel = (<usize> first << 2) + column, from = offset + column;
    const gain = v128.load(n.gain + channel), shift = shiftOf(n, channel);
    let x = n.x + from, gradient = n.gradient + from, out = n.out + from;
    for (const end = x + positions; x < end;) {
      const until = min(x + stretch, end);
      let sum = constant(0), products = constant(0);
      for (; x < until; x += stride, gradient += stride, out += stride) {
        const normalized = f32x4.mul(f32x4.sub(v128.load(x), mean), inverse);
        let g = v128.load(gradient);
        if (withSilu) g = siluSlope(g, f32x4.relaxed_madd(normalized, gain, shift));
        const h = f32x4.mul(g, gain);
        v128.store(out, h);
        sum = f32x4.add(sum, h);
        products = f32x4.relaxed_madd(h, normalized, products);
      }
      sumA = f64x2.add(sumA, low(sum));
      sumB = f64x2.add(sumB, high(sum));
      dotA = f64x2.add(dotA, low(products));
      dotB = f64x2.add(dotB, high(products));
    }
  }
  let meanH = constant(0);
  if (n.centred) {
    meanH = joined(
      f64x2.div(ofGroups(sumA, sumB, width), size),
      f64x2.div(ofGroups(sumB, sumA, width), size),
    );
  }
  const meanHX = joined(
    f64x2.div(ofGroups(dotA, dotB, width), size),
    f64x2.div(ofGroups(dotB, dotA, width), size),
  );
  // h − mean h − x̂·mean(h·x̂), times 1/σ
  const slope = f32x4.mul(inverse, meanHX);
  for (let column: usize = 0; column < bytes; column += 16) {
    let x = n.x + offset + column, out = n.out + offset + column;
    for (const end = x + positions; x < end; x += stride, out += stride) {
      const own = f32x4.mul(f32x4.sub(v128.load(x), mean), slope);
      const h = f32x4.sub(f32x4.sub(v128.load(out), meanH), own);
      v128.store(out, f32x4.mul(h, inverse));
    }
  }
}

/** The sums over rows [from, to) for gain and shift, four channels at a time. */
export function partLanes(n: GroupNorm, from: i32, to: i32, gains: usize, shifts: usize): void {
  const width = n.channels / n.groups, stride = <usize> n.channels << 2;
  for (let channel = 0; channel < n.channels; channel += 4) {
    const bytes = <usize> channel << 2;
    const scale = v128.load(n.gain + bytes), offset = shiftOf(n, bytes);
    let gain = constant(0), shift = constant(0), row = from;
    while (row < to) {
      const batch = row / n.positions, end = min(to, (batch + 1) * n.positions);
      const kept = n.statistics + (<usize> (batch * n.groups) << 3);
      const mean = keptOf(kept, channel, width, 0), inverse = keptOf(kept, channel, width, 4);
      const last = n.x + <usize> end * stride + bytes, withSilu = n.silu;
      let gradient = n.gradient + <usize> row * stride + bytes;
      for (let x = n.x + <usize> row * stride + bytes; x < last; x += stride, gradient += stride) {
        const normalized = f32x4.mul(f32x4.sub(v128.load(x), mean), inverse);
        let g = v128.load(gradient);
        if (withSilu) g = siluSlope(g, f32x4.relaxed_madd(normalized, scale, offset));
        gain = f32x4.relaxed_madd(g, normalized, gain);
        shift = f32x4.add(shift, g);
      }
      row = end;
    }
    v128.store(gains + bytes, gain);
    v128.store(shifts + bytes, shift);
  }
}
