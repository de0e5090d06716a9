/** WGSL functions over float32 that keep the operations' semantics on every adapter: NaN, the infinities, and an
 * accuracy of a few units in the last place where WGSL's own functions may be less accurate. They are written with the
 * aliases F, U, I and B, so that the same text works for one element or four. */

/** The aliases: float32, uint32, int32 and bool, `width` elements at a time. */
export function widthAliases(width: 1 | 4): string {
  const of = (scalar: string) => width === 1 ? scalar : `vec4<${scalar}>`;
  return `alias F = ${of("f32")}; alias U = ${of("u32")}; alias I = ${of("i32")}; alias B = ${
    of("bool")
  };`;
}

const SPECIAL = `
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
fn infinity() -> F { var bits = U(0x7f800000u); return bitcast<F>(bits); }
fn not_a_number() -> F { var bits = U(0x7fc00000u); return bitcast<F>(bits); }`;

// e^x = 2^n · e^r, |r| ≤ ln 2 / 2, the latter by its Taylor series; 2^n is applied as two factors, to cover the whole
// range.
const EXPONENTIAL = `
fn exponential(x: F) -> F {
  let bounded = clamp(x, F(-104.0), F(89.0));
  let n = round(bounded * F(1.44269504));
  let r = (bounded - n * F(0.693359375)) + n * F(2.12194440e-4);
  var y = F(1.0 / 5040.0);
  y = y * r + F(1.0 / 720.0);
  y = y * r + F(1.0 / 120.0);
  y = y * r + F(1.0 / 24.0);
  y = y * r + F(1.0 / 6.0);
  y = y * r + F(0.5);
  y = y * r + F(1.0);
  y = y * r + F(1.0);
  let whole = I(n);
  let half = whole >> U(1u);
  let low = bitcast<F>((half + I(127)) << U(23u));
  let high = bitcast<F>((whole - half + I(127)) << U(23u));
  return select(y * low * high, x, is_nan(x));
}`;

// ln x = e·ln 2 + ln m, m in [√½, √2); ln m = 2 artanh s with s = (m − 1)/(m + 1), by its series.
const LOGARITHM = `
fn logarithm(x: F) -> F {
  let tiny = x < F(1.17549435e-38);
  let scaled = select(x, x * F(8388608.0), tiny);
  let shifted = bitcast<U>(scaled) - U(0x3f3504f3u);
  let e = F(bitcast<I>(shifted) >> U(23u)) - select(F(0.0), F(23.0), tiny);
  let f = bitcast<F>((shifted & U(0x007fffffu)) + U(0x3f3504f3u)) - F(1.0);
  let s = f / (f + F(2.0));
  let z = s * s;
  var series = F(1.0 / 11.0);
  series = series * z + F(1.0 / 9.0);
  series = series * z + F(1.0 / 7.0);
  series = series * z + F(1.0 / 5.0);
  series = series * z + F(1.0 / 3.0);
  let y = e * F(0.69314718) + (F(2.0) * s + F(2.0) * s * z * series);
  let bits = bitcast<U>(x);
  let ends = select(y, x, bits == U(0x7f800000u));
  let zero = select(ends, -infinity(), (bits & U(0x7fffffffu)) == U(0u));
  let negative = bits > U(0x80000000u);
  return select(select(zero, not_a_number(), negative), x, is_nan(x));
}`;

// tanh by its continued fraction near 0, else by the exponential of −2|x|.
const HYPERBOLIC_TANGENT = `
fn hyperbolic_tangent(x: F) -> F {
  let z = x * x;
  let near = x * (F(945.0) + z * (F(105.0) + z)) / (F(945.0) + z * (F(420.0) + z * F(15.0)));
  let decay = exponential(F(-2.0) * abs(x));
  let far = (F(1.0) - decay) / (F(1.0) + decay);
  return select(select(near, select(far, -far, x < F(0.0)), abs(x) > F(0.6)), x, is_nan(x));
}`;

const LOGISTIC = `
fn logistic(x: F) -> F {
  let decay = exponential(-abs(x));
  return select(decay, F(1.0), x >= F(0.0)) / (F(1.0) + decay);
}`;

// Up to 1, x times a polynomial in x²; beyond, 1 − e^(−x²)·q(1/(1 + x/2)). Both are Chebyshev fits; error < 2e−7.
const ERROR_FUNCTION = `
fn error_function(x: F) -> F {
  let size = min(abs(x), F(4.0));
  let z = size * size;
  var p = F(-9.673591e-6);
  p = p * z + F(1.1268254e-4);
  p = p * z + F(-8.4843964e-4);
  p = p * z + F(5.2210535e-3);
  p = p * z + F(-2.6865438e-2);
  p = p * z + F(0.11283783);
  p = p * z + F(-0.37612638);
  p = p * z + F(1.1283792);
  let t = F(1.0) / (F(1.0) + F(0.5) * size);
  var q = F(-0.053540617);
  q = q * t + F(-0.057338737);
  q = q * t + F(0.40383837);
  q = q * t + F(0.10126825);
  q = q * t + F(0.33084068);
  q = q * t + F(0.27361816);
  q = q * t + F(6.0640875e-4);
  let far = F(1.0) - exponential(-z) * q;
  let y = select(size * p, far, size > F(1.0));
  return select(select(y, -y, x < F(0.0)), x, is_nan(x));
}`;

// |a|^b = e^(b ln|a|), with the signs and special cases of ECMAScript's Math.pow.
const POWER = `
fn power(a: F, b: F) -> F {
  let size = exponential(b * logarithm(abs(a)));
  let whole = floor(b) == b;
  let odd = whole & (abs(b) < F(16777216.0)) & ((F(2.0) * floor(b * F(0.5))) != b);
  let negative = bitcast<U>(a) >= U(0x80000000u);
  let finite = (bitcast<U>(a) & U(0x7fffffffu)) < U(0x7f800000u);
  let signed = select(size, -size, negative & odd);
  let lost = negative & finite & (abs(a) > F(0.0)) & !whole;
  let y = select(signed, not_a_number(), lost | is_nan(a) | is_nan(b));
  return select(y, F(1.0), b == F(0.0));
}`;

// The sine and cosine of u turns, u in [0, 1): the nearest quarter is exact, the rest by Taylor series.
const TURN = `
fn turn_cosine_sine(u: f32) -> vec2<f32> {
  let quarter = round(u * 4.0);
  let a = (u - quarter * 0.25) * 6.2831853;
  let z = a * a;
  let sine = a * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z / 362880.0))));
  let cosine = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 - z / 3628800.0))));
  let q = u32(quarter) & 3u;
  let turned = select(vec2<f32>(cosine, sine), vec2<f32>(-sine, cosine), (q & 1u) == 1u);
  return select(turned, -turned, q >= 2u);
}`;

// Unsigned words in the order of the floats they represent. 0 is below all of them, so it can mean "none".
const ORDERED = `
fn ordered(x: F) -> U {
  let bits = bitcast<U>(x);
  let canonical = select(bits, U(0u), bits == U(0x80000000u));
  return canonical ^ select(U(0x80000000u), U(0xffffffffu), canonical >= U(0x80000000u));
}
fn from_ordered(key: U) -> F {
  return bitcast<F>(key ^ select(U(0xffffffffu), U(0x80000000u), key >= U(0x80000000u)));
}`;

const TEXTS = {
  special: SPECIAL,
  exponential: EXPONENTIAL,
  logarithm: LOGARITHM,
  hyperbolicTangent: HYPERBOLIC_TANGENT,
  logistic: LOGISTIC,
  errorFunction: ERROR_FUNCTION,
  power: POWER,
  turn: TURN,
  ordered: ORDERED,
} as const;

/** The name of a WGSL function, or of a few that go together. */
export type FloatFunction = keyof typeof TEXTS;

const NEEDS: { readonly [name in FloatFunction]: readonly FloatFunction[] } = {
  special: [],
  exponential: ["special"],
  logarithm: ["special"],
  hyperbolicTangent: ["exponential"],
  logistic: ["exponential"],
  errorFunction: ["exponential"],
  power: ["exponential", "logarithm"],
  turn: [],
  ordered: ["special"],
};

/** The aliases for a width and the named functions with all that they need. */
export function floatFunctions(width: 1 | 4, names: readonly FloatFunction[]): string {
  const wanted = new Set<FloatFunction>();
  const add = (name: FloatFunction) => {
    NEEDS[name].forEach(add);
    wanted.add(name);
  };
  names.forEach(add);
  return [widthAliases(width), ...[...wanted].map((name) => TEXTS[name])].join("\n");
}
