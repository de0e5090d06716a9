/** How nearly results above the core must agree with what they are compared with: every tolerance, with its reason. */
import assert from "node:assert/strict";
import type { HostArray } from "../core/backend.ts";
import { assertAgrees, type Tolerance } from "./core/agreement.ts";

/** A single call or a gradient against the reference implementation, norm-wise: both round in float32, each in an
 * order of its own. The project's requirement. */
export const SINGLE_CALL = 1e-5;

/** Losses and parameters after a dozen Adam steps: a step divides by the root of a squared gradient, so the rounding
 * of small gradients is amplified. The project's requirement. */
export const AFTER_STEPS = 1e-3;

/** float32 against the same equations in float64: chains of a few operations over a few hundred terms. */
export const EQUATIONS = 1e-5;

/** Moments and weights after some Adam steps against a float64 loop on the same gradients. */
export const OPTIMIZER = 1e-5;

/** Results that subtract numbers of like size, which loses a digit or two: contrastive gradients, normalisation. */
export const CANCELLING = 1e-4;

/** float64 values that differ in the order of a few additions. */
export const FLOAT64: Tolerance = { absolute: 1e-12 };

/** Fails unless `got` agrees with `expected` within the tolerance: norm-wise, or for every element. */
export function assertClose(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
  what: string,
): void {
  if (got instanceof Int32Array || expected instanceof Int32Array) {
    assert.deepEqual([...Array.from(got)], [...Array.from(expected)], what);
    return;
  }
  const host = (values: ArrayLike<number>): HostArray =>
    values instanceof Float32Array ? values as HostArray : Float32Array.from(values);
  assertAgrees(host(got), host(expected), tolerance, what);
}

/** Of parameters after a few steps with re-anchoring, where another order of sums may choose another anchor: what
 * PyTorch differs from itself with and without oneDNN (bench/RESULTS.md). */
export const AFTER_ANCHORED_STEPS = 0.4;
