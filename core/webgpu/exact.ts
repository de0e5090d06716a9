/** WGSL: products and sums that are rounded only once, for comparisons that rounding must not decide.
 *
 * A number is split into an upper half of twelve bits and a rest. The product of two upper halves is exact. The
 * contributions of the rests and the rounding errors of the sum are accumulated separately (Knuth's TwoSum, as in
 * Ogita, Rump and Oishi 2005). WGSL has `fma`, but an adapter may round it twice. Compilers may also simplify (a + b) −
 * a to b. To prevent that, such values are added to a zero that the compiler cannot know.
 */

/** The `numbers` that the functions need. */
export const EXACT_NUMBERS: readonly string[] = ["zero: u32"];

/** Defines `Exact`, a sum and what its rounding lost; `plus_product(s, a, b)`, s + a·b; `total(s)`, its float32; and
 * `fused(a, b, c)`, a·b + c rounded once. */
export const EXACT_SUMS = `
struct Exact { sum: f32, rest: f32 }
fn as_it_stands(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) + numbers.zero); }
fn upper(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }
fn plus_product(s: Exact, a: f32, b: f32) -> Exact {
  let product = upper(a) * upper(b);
  let sum = as_it_stands(s.sum + product);
  let added = as_it_stands(sum - s.sum);
  let lost = (s.sum - (sum - added)) + (product - added);
  return Exact(sum, s.rest + lost + (upper(a) * (b - upper(b)) + (a - upper(a)) * b));
}
fn total(s: Exact) -> f32 {
  let rest_is_number = (bitcast<u32>(s.rest) & 0x7fffffffu) < 0x7f800000u;
  return select(s.sum, s.sum + s.rest, rest_is_number);
}
fn fused(a: f32, b: f32, c: f32) -> f32 { return total(plus_product(Exact(c, 0.0), a, b)); }`;
