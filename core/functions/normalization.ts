/** Normalisation over groups of channels. */
import { apply } from "../execute.ts";
import { showShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { reshape } from "./movement.ts";

/** x as `[B, positions, C]`.
 * @throws {TypeError} it has fewer than two axes
 */
function toPositions(x: Tensor): Tensor {
  if (x.shape.length < 2) {
    throw new TypeError(
      `Cannot normalise: the operand must have two axes or more, got shape ${showShape(x.shape)}`,
    );
  }
  const channels = x.shape[x.shape.length - 1];
  return reshape(x, [x.shape[0], sizeOf(x.shape.slice(1, -1)), channels]);
}

/** x as `[rows, 1, C]`. */
function toChannels(x: Tensor): Tensor {
  const channels = x.shape[x.shape.length - 1];
  return reshape(x, [x.size / channels, 1, channels]);
}

/** Group normalisation without scale and shift (arXiv 1803.08494): each image's groups of neighbouring channels get
 * mean 0 and variance 1.
 * @param x float32 `[B, ..., C]`
 * @returns float32 `[B, ..., C]`
 * @throws {RangeError} the groups do not divide the channels
 */
export function groupNormalize(x: Tensor, groups: number, epsilon = 1e-5): Tensor {
  return reshape(apply("normalize", [toPositions(x)], { groups, epsilon }), x.shape);
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
  return reshape(apply("normalize", [toChannels(x)], { groups: 1, epsilon }), x.shape);
}

/** Options of `groupNorm`. */
export interface GroupNormOptions {
  /** The number of groups of neighbouring channels. */
  readonly groups: number;
  /** Added to the variance; by default 1e-5. */
  readonly epsilon?: number;
  /** Whether to apply SiLU to the result in the same pass; by default false. */
  readonly silu?: boolean;
}

/** Group normalisation (arXiv 1803.08494), then gain and shift, then optionally SiLU. It is one operation, which keeps
 * only x and the statistics of the groups for its gradient. That gradient cannot be differentiated again.
 *
 * ```ts
 * import { groupNorm, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1, 3], [1, 2]);
 * const gain = device.tensor([2, 2], [2]), shift = device.tensor([5, 5], [2]);
 * const [a, b] = await groupNorm(x, gain, shift, { groups: 1 }).floats();
 * assert.ok(Math.abs(a - 3) < 1e-4 && Math.abs(b - 7) < 1e-4);
 * ```
 * @param x float32 `[B, ..., C]`
 * @param gain float32 `[C]`
 * @param shift float32 `[C]`
 * @returns float32 `[B, ..., C]`
 * @throws {TypeError} the shapes do not match
 * @throws {RangeError} the groups do not divide the channels
 */
export function groupNorm(
  x: Tensor,
  gain: Tensor,
  shift: Tensor,
  { groups, epsilon = 1e-5, silu = false }: GroupNormOptions,
): Tensor {
  const attributes = { groups, epsilon, silu, centred: true };
  return reshape(apply("groupNorm", [toPositions(x), gain, shift], attributes), x.shape);
}

/** Layer normalisation over the last axis (arXiv 1607.06450), then gain and shift; one operation, like `groupNorm`. */
export function layerNorm(x: Tensor, gain: Tensor, shift: Tensor, epsilon = 1e-5): Tensor {
  const attributes = { groups: 1, epsilon, silu: false, centred: true };
  return reshape(apply("groupNorm", [toChannels(x), gain, shift], attributes), x.shape);
}

/** RMS normalisation over the last axis (arXiv 1910.07467): gain·x/√(mean(x²) + epsilon); one operation, like
 * `groupNorm`. */
export function rmsNorm(x: Tensor, gain: Tensor, epsilon = 1e-6): Tensor {
  const attributes = { groups: 1, epsilon, silu: false, centred: false };
  return reshape(apply("groupNorm", [toChannels(x), gain], attributes), x.shape);
}
