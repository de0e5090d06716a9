/** What is done to gradients before the optimiser. */
import { add, div, minimum, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { full } from "../core/functions/creation.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** The norm of all gradients together, a scalar. */
export function globalNorm(gradients: readonly [Tensor, ...Tensor[]]): Tensor {
  return sqrt(gradients.map((gradient) => sum(square(gradient))).reduce(add));
}

/** The gradients scaled by min(1, limit / (norm + 1e−6)), norm = the norm of all together; nothing is read back.
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

/** Rows of what belongs to a parameter, a gradient or a moment, without the share that belongs to what was replaced.
 * @param values float32 `[K, ...]`
 * @param share float32 `[K]` in [0, 1]
 * @returns values·(1 − share), float32 `[K, ...]`
 */
export function withoutShare(values: Tensor, share: Tensor): Tensor {
  const ones = values.shape.slice(1).map(() => 1);
  return mul(values, reshape(sub(1, share), [values.shape[0], ...ones]));
}
