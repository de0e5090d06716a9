/** Random numbers. `core/random.ts` defines which Philox word gives which element. */
import { job, parallel } from "./pool";
import { storeLanes } from "./elementwise";
import { choose, constant, cosineOfTurn, log, sineOfTurn } from "./math";
import { Key, philox, philoxFour } from "./philox";

/** The number of blocks of four numbers in a task. */
const CHUNK: i32 = 1024;

/** What the host writes to `job`, with the two parameters of the distribution. */
@unmanaged
class Draw extends Key {
  out: usize;
  count: i32;
  first: f64;
  second: f64;
}

/** Draws the blocks of a task. `F` converts a block's four words to four numbers. */
function fill<F>(index: i32): void {
  const d = changetype<Draw>(job), f = changetype<F>(0);
  const last = min((index + 1) * CHUNK, (d.count + 3) >> 2), whole = min(last, d.count >> 2);
  let block = index * CHUNK, to = d.out + (<usize> block << 4);
  for (; block + 4 <= whole; block += 4) {
    philoxFour(d, block, 0, to);
    for (const end = to + 64; to < end; to += 16) v128.store(to, f.draw(d, v128.load(to)));
  }
  for (; block < last; block++, to += 16) {
    const values = f.draw(d, philox(d, block, 0)), left = d.count - (block << 2);
    if (left >= 4) v128.store(to, values);
    else storeLanes(to, values, left);
  }
}

function tasks(first: f64, second: f64): i32 {
  const d = changetype<Draw>(job);
  d.first = first;
  d.second = second;
  return ((d.count + 3) / 4 + CHUNK - 1) / CHUNK;
}

/** Numbers in [0, 1) that float32 represents exactly. */
@unmanaged
class Unit {
  @inline
  draw(_d: Draw, words: v128): v128 {
    return f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(words, 8)), constant(5.9604644775390625e-8));
  }
}

/** low + u·(high − low), computed in float64 and rounded once. */
@unmanaged
class Uniform {
  @inline
  draw(d: Draw, block: v128): v128 {
    const words = i32x4.shr_u(block, 8);
    const scale = f64x2.splat((d.second - d.first) * 5.9604644775390625e-8);
    const low = f64x2.splat(d.first);
    const high = v128.shuffle<i64>(words, words, 1, 1);
    const a = f64x2.add(low, f64x2.mul(f64x2.convert_low_i32x4_u(words), scale));
    const b = f64x2.add(low, f64x2.mul(f64x2.convert_low_i32x4_u(high), scale));
    return v128.shuffle<i64>(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b), 0, 2);
  }
}

/** The cosine (even lanes) or sine (odd lanes) of 2π times the lanes' numbers in [0, 1). */
function cosineAndSine(turns: v128): v128 {
  const quarters = f32x4.nearest(f32x4.mul(turns, constant(4)));
  const rest = f32x4.sub(turns, f32x4.mul(quarters, constant(0.25)));
  // The sine of x is the cosine of x minus a quarter turn.
  const quadrant = i32x4.sub(i32x4.trunc_sat_f32x4_s(quarters), i32x4(0, 1, 0, 1));
  const odd = i32x4.ne(v128.and(quadrant, i32x4.splat(1)), i32x4.splat(0));
  // cos of quadrant 0: cos r, 1: −sin r, 2: −cos r, 3: sin r
  const size = choose(odd, sineOfTurn(rest), cosineOfTurn(rest));
  const flips = v128.and(i32x4.add(quadrant, i32x4.splat(1)), i32x4.splat(2));
  return v128.xor(size, i32x4.shl(flips, 30));
}

/** mean + deviation·√(−2 ln u₁)·(cos 2πu₂, sin 2πu₂) from words 0 and 1, then from words 2 and 3 (Box–Muller). */
@unmanaged
class Normal {
  @inline
  draw(d: Draw, block: v128): v128 {
    const words = i32x4.shr_u(block, 8);
    const scale = constant(5.9604644775390625e-8);
    const first = v128.shuffle<i32>(words, words, 0, 0, 2, 2);
    const second = v128.shuffle<i32>(words, words, 1, 1, 3, 3);
    const above = f32x4.convert_i32x4_s(i32x4.add(first, i32x4.splat(1)));
    const radius = f32x4.sqrt(f32x4.mul(constant(-2), log(f32x4.mul(above, scale))));
    const turns = f32x4.mul(f32x4.convert_i32x4_s(second), scale);
    const normal = f32x4.mul(radius, cosineAndSine(turns));
    return f32x4.add(constant(<f32> d.first), f32x4.mul(normal, constant(<f32> d.second)));
  }
}

/** Uniform numbers in [low, high]. */
export function uniform(low: f64, high: f64): void {
  const count = tasks(low, high);
  if (low == 0 && high == 1) parallel((index) => fill<Unit>(index), count);
  else parallel((index) => fill<Uniform>(index), count);
}

/** Normal numbers. */
export function normal(mean: f64, deviation: f64): void {
  parallel((index) => fill<Normal>(index), tasks(mean, deviation));
}
