/** Elementary functions on four floats at a time, accurate to a few units in the last place. The polynomials are our
 * own minimax fits on the intervals named beside them. */

@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

@inline
export function constant(value: f32): v128 {
  return f32x4.splat(value);
}

/** mask ? a : b, bit by bit. */
@inline
export function choose(mask: v128, a: v128, b: v128): v128 {
  return v128.bitselect(a, b, mask);
}

/** 2ⁿ for integers n in [−126, 127]. */
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** eˣ: 0 and infinity beyond the range; denormal results and NaN are kept. */
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
  // Two factors, so that neither leaves the normal range. For NaN any integer will do, because p is NaN.
  const whole = i32x4.relaxed_trunc_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  p = f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
  return p;
}

/** 1.5·2²³ + 127. Adding it to a small number leaves the nearest integer, plus 127, in the last bits. */
const TO_EXPONENT: f32 = 12583039;

/** eˣ for x within ±87, so that no result is denormal. */
@inline
function power(x: v128): v128 {
  // x = n·ln 2 + r, |r| ≤ ln 2 / 2
  const shifted = madd(x, constant(1.4426950408889634), constant(TO_EXPONENT));
  const n = f32x4.sub(shifted, constant(TO_EXPONENT));
  let r = f32x4.relaxed_nmadd(n, constant(0.693145751953125), x);
  r = f32x4.relaxed_nmadd(n, constant(1.4286068203094173e-6), r);
  let p = madd(constant(0.0013950602151453495), r, constant(0.008368953131139278));
  p = madd(p, r, constant(0.04166620597243309));
  p = madd(p, r, constant(0.166665181517601));
  p = madd(p, r, constant(0.5));
  p = madd(f32x4.mul(p, r), r, r);
  return f32x4.mul(f32x4.add(p, constant(1)), i32x4.shl(shifted, 23));
}

/** eˣ for x ≤ 0; 0 below −87, where results would be denormal. NaN is kept. */
@inline
export function decay(x: v128): v128 {
  const result = power(f32x4.pmax(x, constant(-87)));
  return v128.andnot(result, f32x4.lt(x, constant(-87)));
}

/** ln x: −infinity at 0, NaN below; denormals are handled exactly. */
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
  // n·ln 2 in two parts; the smaller terms are added first
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

/** 1 + e⁻ˣ, with x within ±87. */
@inline
function onePlusDecay(x: v128): v128 {
  const inside = f32x4.pmax(f32x4.pmin(f32x4.neg(x), constant(87)), constant(-87));
  return f32x4.add(power(inside), constant(1));
}

/** 1 / (1 + e⁻ˣ); below −87 the value at −87, 1.6e-38. */
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(constant(1), onePlusDecay(x));
}

/** x / (1 + e⁻ˣ), with e⁻ˣ as in `sigmoid`. */
@inline
export function silu(x: v128): v128 {
  return f32x4.div(x, onePlusDecay(x));
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

/** a₀ + a₁·t + … + a₅·t⁵ */
@inline
function quintic(t: v128, a0: f32, a1: f32, a2: f32, a3: f32, a4: f32, a5: f32): v128 {
  let p = madd(constant(a5), t, constant(a4));
  p = madd(p, t, constant(a3));
  p = madd(p, t, constant(a2));
  p = madd(p, t, constant(a1));
  return madd(p, t, constant(a0));
}

/** x clipped to ±5.6, where the functions below have reached their limits. */
@inline
function withinLimits(x: v128): v128 {
  return f32x4.pmax(f32x4.pmin(x, constant(5.6)), constant(-5.6));
}

/** Φ(x) − ½, with the normal distribution function Φ: x·P(x²)/Q(x²), with an error of at most 1.8e-7. */
@inline
function normalShare(x: v128): v128 {
  const a = withinLimits(x), t = f32x4.mul(a, a);
  const p = quintic(
    t,
    0.398942232131958,
    0.03437415137887001,
    0.004707092884927988,
    0.00017382315127179027,
    6.355666755553102e-6,
    2.2142891964449518e-8,
  );
  const q = quintic(
    t,
    1,
    0.2528289556503296,
    0.028938844799995422,
    0.0019128302810713649,
    7.508935232181102e-5,
    1.1800751735790982e-6,
  );
  const share = f32x4.div(f32x4.mul(a, p), q);
  return f32x4.pmax(f32x4.pmin(share, constant(0.5)), constant(-0.5));
}

/** x·Φ(x), with an error of at most 1.2e-6. */
@inline
export function gelu(x: v128): v128 {
  return f32x4.mul(x, f32x4.add(normalShare(x), constant(0.5)));
}

/** Φ(x) + x·e^(−x²/2)/√2π, the slope of gelu: ½ + x·P(x²)/Q(x²), with an error of at most 3.1e-7. */
@inline
export function geluSlope(x: v128): v128 {
  const a = withinLimits(x), t = f32x4.mul(a, a);
  const p = quintic(
    t,
    0.7978853583335876,
    -0.03097452223300934,
    0.01422601193189621,
    1.976739804376848e-5,
    3.589904372347519e-5,
    1.9216267332922143e-7,
  );
  const q = quintic(
    t,
    1,
    0.29452061653137207,
    0.040984027087688446,
    0.003522665938362479,
    0.0001920564827742055,
    8.928015631681774e-6,
  );
  return f32x4.add(f32x4.div(f32x4.mul(a, p), q), constant(0.5));
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
