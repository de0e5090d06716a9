/** How nearly a device must agree with the reference: every tolerance of the core's tests, with its reason. */
import type { HostArray } from "../../core/backend.ts";
import assert from "node:assert/strict";

/** How nearly two results must agree: a norm-wise relative error ‖a − b‖/‖b‖ (0 means every element is the same),
 * or a bound on every element's error. */
export type Tolerance = number | { readonly absolute: number };

/** Moving and comparing data, and single IEEE operations, round nowhere or everywhere alike. */
export const EXACT = 0;

/** float32 sums of a few thousand terms in any order err by some 1e-6 of their norm; a wrong or missing term errs by
 * more than 1e-5 at every size tested here. */
export const FLOAT32 = 1e-5;

/** A gradient is a chain of two to four such operations. */
export const GRADIENT = 2e-5;

/** A gradient of a gradient is a chain of two of those, and may be a sum of terms that cancel. */
export const SECOND_GRADIENT = 2e-4;

/** Operands whose large common part cancels lose the digits that it takes. */
export const CANCELLING = 1e-4;

/** Box–Muller's logarithm, root and cosine, each rounded, around a radius of at most 6. */
export const NORMAL: Tolerance = { absolute: 1e-5 };

/** Central differences of float32 results: a step of 2⁻⁷ leaves some 1e-4 of truncation and some 1e-5 of rounding;
 * a wrong gradient errs by about 1. */
export const DIFFERENCES = 1e-3;

/** Rounding an output to float32 errs by up to 2⁻²⁴ of it; twice that, which a small difference may drown in. */
export const ROUNDING = 2 ** -23;

/** Half the width of a central difference. */
export const DIFFERENCE_STEP = 2 ** -7;

/** The same for differences of gradients, which bend more. */
export const SECOND_STEP = 2 ** -8;

function worstOf(got: HostArray, expected: HostArray): string {
  let worst = 0;
  const errorAt = (at: number) => {
    const error = Math.abs(got[at] - expected[at]);
    return Number.isNaN(error) ? (Object.is(got[at], expected[at]) ? 0 : Infinity) : error;
  };
  expected.forEach((_, at) => {
    if (errorAt(at) > errorAt(worst)) worst = at;
  });
  return `element ${worst} of ${expected.length} is ${got[worst]} instead of ${expected[worst]}`;
}

/** Fails unless NaN and the infinities are in the same places and the rest agrees within the tolerance. */
export function assertAgrees(
  got: HostArray,
  expected: HostArray,
  tolerance: Tolerance,
  what: string,
): void {
  assert.equal(got.length, expected.length, `${what}: number of elements`);
  let squaredError = 0, squaredNorm = 0, greatest = 0;
  expected.forEach((wanted, at) => {
    if (!Number.isFinite(wanted) || !Number.isFinite(got[at])) {
      assert.ok(Object.is(wanted, got[at]), `${what}: ${worstOf(got, expected)}`);
      return;
    }
    const error = Math.abs(got[at] - wanted);
    squaredError += error ** 2;
    squaredNorm += wanted ** 2;
    greatest = Math.max(greatest, error);
  });
  if (typeof tolerance === "object") {
    assert.ok(greatest <= tolerance.absolute, `${what}: ${worstOf(got, expected)}`);
    return;
  }
  const relative = Math.sqrt(squaredError) / Math.max(Math.sqrt(squaredNorm), 1e-30);
  assert.ok(
    squaredError === 0 || relative <= tolerance,
    `${what}: off by ${relative} of the norm, ${tolerance} allowed; ${worstOf(got, expected)}`,
  );
}
