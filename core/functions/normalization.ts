/** Normalisation over groups of channels. */
import { apply } from "../execute.ts";
import { showShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { reshape } from "./movement.ts";

/** Group normalisation without scale and shift (arXiv 1803.08494): each image's groups of neighbouring channels get
 * mean 0 and variance 1.
 * @param x float32 `[B, ..., C]`
 * @returns float32 `[B, ..., C]`
 * @throws {RangeError} the groups do not divide the channels
 */
export function groupNormalize(x: Tensor, groups: number, epsilon = 1e-5): Tensor {
  if (x.shape.length < 2) {
    throw new TypeError(
      `Cannot normalise: the operand must have two axes or more, got shape ${showShape(x.shape)}`,
    );
  }
  const channels = x.shape[x.shape.length - 1];
  const positions = sizeOf(x.shape.slice(1, -1));
  const rows = reshape(x, [x.shape[0], positions, channels]);
  return reshape(apply("normalize", [rows], { groups, epsilon }), x.shape);
}

/** Layer normalisation without scale and shift (arXiv 1607.06450): mean 0 and variance 1 over the last axis.
 *
 * ```ts
 * import { layerNormalize, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const [a, b] = await layerNormalize(device.tensor([1, 3], [1, 2])).floats();
 * assert.ok(Math.abs(a + 1) < 1e-4 && Math.abs(b - 1) < 1e-4);
 * ```
 */
export function layerNormalize(x: Tensor, epsilon = 1e-5): Tensor {
  const channels = x.shape[x.shape.length - 1];
  const rows = reshape(x, [x.size / channels, 1, channels]);
  return reshape(apply("normalize", [rows], { groups: 1, epsilon }), x.shape);
}
