/** Gradient clipping, and other steps before the optimiser. */
import { add, div, minimum, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { full } from "../core/functions/creation.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** The global norm of all gradients, a scalar. */
export function globalNorm(gradients: readonly [Tensor, ...Tensor[]]): Tensor {
  return sqrt(gradients.map((gradient) => sum(square(gradient))).reduce(add));
}

/** Scales the gradients by min(1, limit / (norm + 1e−6)), where norm is their global norm. Nothing is read back.
 *
 * ```ts
 * import { clipGradients, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const [clipped] = clipGradients([device.tensor([3, 4], [2])], 1);
 * assert.ok(Math.abs((await clipped.floats())[1] - 0.8) < 1e-5);
 * ```
 * @throws {RangeError} the limit is not positive
 */
export function clipGradients(
  gradients: readonly [Tensor, ...Tensor[]],
  limit: number,
): readonly Tensor[] {
  if (!(limit > 0)) {
    throw new RangeError(`Cannot clip gradients: the limit must be positive, got ${limit}`);
  }
  const norm = globalNorm(gradients);
  const one = full(norm.device, [], 1);
  const scale = minimum(one, div(limit, add(norm, 1e-6)));
  return gradients.map((gradient) => mul(gradient, scale));
}

/** Scales down the rows of a gradient or a moment by the share of the parameter's row that was replaced.
 * @param values float32 `[K, ...]`
 * @param share float32 `[K]` in [0, 1]
 * @returns values·(1 − share), float32 `[K, ...]`
 */
export function withoutShare(values: Tensor, share: Tensor): Tensor {
  const ones = values.shape.slice(1).map(() => 1);
  return mul(values, reshape(sub(1, share), [values.shape[0], ...ones]));
}
