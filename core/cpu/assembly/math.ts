/** Elementary functions on four floats at a time, within a few units in the last place. The polynomials are
 * minimax fits of this project, made on the intervals named beside them. */

@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

@inline
export function constant(value: f32): v128 {
  return f32x4.splat(value);
}

/** mask ? a : b, by bits. */
@inline
export function choose(mask: v128, a: v128, b: v128): v128 {
  return v128.bitselect(a, b, mask);
}

/** 2ⁿ for integers n in [−126, 127]. */
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** eˣ: 0 and infinity beyond the range, denormal results kept, NaN stays. */
@inline
export function exp(x: v128): v128 {
  // x = n·ln 2 + r, |r| ≤ ln 2 / 2
  const inside = f32x4.pmax(f32x4.pmin(x, constant(89)), constant(-104));
  const n = f32x4.nearest(f32x4.mul(inside, constant(1.4426950408889634)));
  let r = f32x4.sub(inside, f32x4.mul(n, constant(0.693145751953125)));
  r = f32x4.sub(r, f32x4.mul(n, constant(1.4286068203094173e-6)));
  let p = madd(constant(0.0013950602151453495), r, constant(0.008368953131139278));
  p = madd(p, r, constant(0.04166620597243309));
  p = madd(p, r, constant(0.166665181517601));
  p = madd(p, r, constant(0.5));
  p = madd(f32x4.mul(p, r), r, r);
  p = f32x4.add(p, constant(1));
  // Two factors, so that neither leaves the normal range. Of NaN any integer will do: p is NaN.
  const whole = i32x4.relaxed_trunc_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  p = f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
  return p;
}

/** ln x: −infinity at 0, NaN below, denormals exact. */
@inline
export function log(x: v128): v128 {
  const small = f32x4.lt(x, constant(1.1754943508222875e-38));
  const scaled = choose(small, f32x4.mul(x, constant(8388608)), x);
  // x = 2ⁿ·(1 + f), 1 + f in [√½, √2)
  const bits = i32x4.sub(scaled, i32x4.splat(0x3f3504f3));
  const n = i32x4.shr_s(bits, 23);
  const mantissa = i32x4.add(
    v128.and(bits, i32x4.splat(0x007fffff)),
    i32x4.splat(0x3f3504f3),
  );
  const f = f32x4.sub(mantissa, constant(1));
  const e = f32x4.add(
    f32x4.convert_i32x4_s(n),
    v128.and(small, constant(-23)),
  );
  let p = madd(constant(0.0674663856625557), f, constant(-0.11675651371479034));
  p = madd(p, f, constant(0.11888162791728973));
  p = madd(p, f, constant(-0.1240558922290802));
  p = madd(p, f, constant(0.14219552278518677));
  p = madd(p, f, constant(-0.1666799634695053));
  p = madd(p, f, constant(0.2000211924314499));
  p = madd(p, f, constant(-0.25000008940696716));
  p = madd(p, f, constant(0.3333331346511841));
  const square = f32x4.mul(f, f);
  // n·ln 2 in two parts, the smaller ones added first
  let tail = f32x4.mul(f32x4.mul(p, square), f);
  tail = madd(e, constant(1.4286068203094173e-6), tail);
  tail = f32x4.sub(tail, f32x4.mul(square, constant(0.5)));
  let result = madd(e, constant(0.693145751953125), f32x4.add(f, tail));
  result = choose(f32x4.eq(x, constant(Infinity)), x, result);
  result = choose(f32x4.eq(x, constant(0)), constant(-Infinity), result);
  const real = f32x4.ge(x, constant(0));
  return choose(real, result, constant(NaN));
}

/** The hyperbolic tangent. */
@inline
export function tanh(x: v128): v128 {
  const size = f32x4.abs(x);
  const square = f32x4.mul(x, x);
  let p = madd(constant(-0.005717044696211815), square, constant(0.020650586113333702));
  p = madd(p, square, constant(-0.05374349653720856));
  p = madd(p, square, constant(0.13331490755081177));
  p = madd(p, square, constant(-0.3333328366279602));
  const near = madd(f32x4.mul(p, square), x, x); // |x| < 0.625
  const far = f32x4.sub(
    constant(1),
    f32x4.div(constant(2), f32x4.add(exp(f32x4.add(size, size)), constant(1))),
  );
  const signed = choose(i32x4.splat(0x7fffffff), far, x);
  return choose(f32x4.ge(size, constant(0.625)), signed, near);
}

/** 1 / (1 + e⁻ˣ). */
@inline
export function sigmoid(x: v128): v128 {
  const decay = exp(f32x4.neg(f32x4.abs(x)));
  const top = choose(f32x4.lt(x, constant(0)), decay, constant(1));
  return f32x4.div(top, f32x4.add(constant(1), decay));
}

/** The error function. */
@inline
export function erf(x: v128): v128 {
  const size = f32x4.abs(x), square = f32x4.mul(x, x);
  let p = madd(constant(7.889122935011983e-5), square, constant(-0.0008020842215046287));
  p = madd(p, square, constant(0.005189535673707724));
  p = madd(p, square, constant(-0.026854444295167923));
  p = madd(p, square, constant(0.11283600330352783));
  p = madd(p, square, constant(-0.3761262595653534));
  p = madd(p, square, constant(1.1283791065216064));
  const near = f32x4.mul(p, x); // |x| < 1
  // 1 − e^q, q = ln erfc on [0.98, 4]
  const t = f32x4.pmin(size, constant(4));
  let q = madd(constant(-2.168675564462319e-5), t, constant(0.00044133519986644387));
  q = madd(q, t, constant(-0.004204555880278349));
  q = madd(q, t, constant(0.025208238512277603));
  q = madd(q, t, constant(-0.1084185466170311));
  q = madd(q, t, constant(-0.6332198977470398));
  q = madd(q, t, constant(-1.1295783519744873));
  q = f32x4.add(f32x4.mul(q, t), constant(0.00018803666171152145));
  const far = f32x4.sub(constant(1), exp(q));
  const signed = choose(i32x4.splat(0x7fffffff), far, x);
  return choose(f32x4.ge(size, constant(1)), signed, near);
}

/** The normal distribution function where its argument is negative: Φ(−|x|) = e^(−x²/2)·q(1/(1 + 0.3·|x|)).
 * @param decay e^(−x²/2)
 */
@inline
function normalTail(x: v128, decay: v128): v128 {
  const t = f32x4.div(constant(1), madd(constant(0.3), f32x4.abs(x), constant(1)));
  let q = madd(constant(0.03567654266953468), t, constant(-0.15721067786216736));
  q = madd(q, t, constant(0.20636694133281708));
  q = madd(q, t, constant(-0.05369628220796585));
  q = madd(q, t, constant(0.12856842577457428));
  q = madd(q, t, constant(0.0999114066362381));
  q = madd(q, t, constant(0.12075429409742355));
  q = madd(q, t, constant(0.11962927877902985));
  return f32x4.mul(decay, f32x4.mul(q, t));
}

@inline
function normalDecay(x: v128): v128 {
  return exp(f32x4.mul(f32x4.mul(x, x), constant(-0.5)));
}

/** Φ(x), the normal distribution function.
 * @param decay e^(−x²/2)
 */
@inline
function normalShare(x: v128, decay: v128): v128 {
  const tail = normalTail(x, decay);
  return choose(f32x4.lt(x, constant(0)), tail, f32x4.sub(constant(1), tail));
}

/** x·Φ(x). */
@inline
export function gelu(x: v128): v128 {
  return f32x4.mul(x, normalShare(x, normalDecay(x)));
}

/** Φ(x) + x·e^(−x²/2)/√2π, the slope of gelu. */
@inline
export function geluSlope(x: v128): v128 {
  const decay = normalDecay(x);
  const density = f32x4.mul(decay, constant(0.3989422804014327));
  return f32x4.add(normalShare(x, decay), f32x4.mul(x, density));
}

/** The sine of 2πr, |r| ≤ 1/8. */
@inline
export function sineOfTurn(r: v128): v128 {
  const square = f32x4.mul(r, r);
  let p = madd(constant(41.47294998168945), square, constant(-76.69786834716797));
  p = madd(p, square, constant(81.6052017211914));
  p = madd(p, square, constant(-41.34170150756836));
  p = madd(p, square, constant(6.2831854820251465));
  return f32x4.mul(p, r);
}

/** The cosine of 2πr, |r| ≤ 1/8. */
@inline
export function cosineOfTurn(r: v128): v128 {
  const square = f32x4.mul(r, r);
  let p = madd(constant(59.22040557861328), square, constant(-85.44285583496094));
  p = madd(p, square, constant(64.93931579589844));
  p = madd(p, square, constant(-19.739208221435547));
  return madd(p, square, constant(1));
}
