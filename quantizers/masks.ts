/** Masks of padding: the positions of a batch that hold no feature. */
import { full } from "../core/functions/creation.ts";
import {
  cast,
  div,
  greaterEqual,
  maximum,
  mul,
  notEqual,
  type Operand,
  where,
} from "../core/functions/elementwise.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import { sameShape, type Shape, showShape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";

/** Replaces the features at the padding by zeros. No gradient passes there, whatever the values are.
 * @param features float32 `[..., D]`
 * @param mask float32 or int32 `[...]`: 0 at padding; undefined if there is no padding
 * @throws {TypeError} the mask does not have one value per feature
 */
export function maskFeatures(features: Tensor, mask: Tensor | undefined): Tensor {
  if (mask === undefined) return features;
  const positions = features.shape.slice(0, -1);
  if (!sameShape(mask.shape, positions)) {
    throw new TypeError(
      `Cannot mask features: the mask must be ${showShape(positions)}, got ${
        showShape(mask.shape)
      }`,
    );
  }
  return where(reshape(notEqual(mask, 0), [...positions, 1]), features, 0);
}

/** Flattens a mask of positions `[...]` to one of rows: int32 `[N]`, 0 at padding. */
export function maskOfRows(mask: Tensor | undefined): Tensor | undefined {
  return mask === undefined ? undefined : reshape(notEqual(mask, 0), [mask.size]);
}

/** Sets the indices, int32 `[...]`, to −1 at the padding. */
export function maskIndices(indices: Tensor, mask: Tensor | undefined): Tensor {
  return mask === undefined ? indices : where(notEqual(mask, 0), indices, -1);
}

/** Which positions hold a feature: int32 `[...]`, 0 at the padding.
 * @param indices int32 `[..., ...codeAxes]`
 */
export function presence(indices: Tensor, codeAxes: Shape): Tensor {
  if (codeAxes.length === 0) return greaterEqual(indices, 0);
  const positions = indices.shape.slice(0, -codeAxes.length);
  const rows = reshape(indices, [sizeOf(positions), -1]);
  const first = slice(rows, [0, 0], [rows.shape[0], 1]);
  return greaterEqual(reshape(first, positions), 0);
}

/** Converts a mean over all positions to the mean over the features. The values must be 0 at the padding. The result is
 * 0 if there are no features.
 * @param average a scalar
 */
export function meanOfFeatures(average: Tensor, mask: Tensor | undefined): Tensor {
  if (mask === undefined) return average;
  return mul(average, div(mask.size, featureCount(mask.size, mask)));
}

/** Counts the features: a number, or with a mask a scalar of at least 1.
 * @param positions the number of positions per rank
 * @param replicas the processes whose features count; by default only this one
 */
export function featureCount(
  positions: number,
  mask: Tensor | undefined,
  replicas: Replicas = SINGLE,
): Operand {
  if (mask === undefined) return positions * replicas.count;
  return maximum(replicas.sum(sum(cast(notEqual(mask, 0), "float32"))), 1);
}

/** This rank's share of the features of the global batch: a number, or with a mask a scalar. */
function ownShare(mask: Tensor | undefined, replicas: Replicas): Operand {
  if (mask === undefined) return 1 / replicas.count;
  const own = sum(cast(notEqual(mask, 0), "float32"));
  return div(own, featureCount(mask.size, mask, replicas));
}

/** Converts a mean over this rank's features to the mean over those of all ranks. Gradients pass. */
export function globalMean(average: Tensor, mask: Tensor | undefined, replicas: Replicas): Tensor {
  return replicas.count === 1 ? average : replicas.sum(mul(average, ownShare(mask, replicas)));
}

/** Weights losses that are means over this rank's features, so that their mean over the ranks is the mean over all
 * features. With padding, some ranks have more features than others. A loss that is the same on all ranks keeps its
 * value in the mean. */
export function weighLosses(
  losses: Record<string, Tensor>,
  mask: Tensor | undefined,
  replicas: Replicas,
): Record<string, Tensor> {
  if (mask === undefined || replicas.count === 1) return losses;
  const weight = mul(ownShare(mask, replicas) as Tensor, replicas.count);
  return Object.fromEntries(
    Object.entries(losses).map(([name, loss]) => [name, mul(loss, weight)]),
  );
}

/** Gathers the mask of the rows of all ranks. */
export function gatherMask(mask: Tensor | undefined, replicas: Replicas): Tensor | undefined {
  const own = maskOfRows(mask);
  return own === undefined ? undefined : replicas.gather(own);
}

/** The weight of each position in a mean over the features: 1/n, and 0 at the padding.
 * @param rows one row per position, `[N, ...]`
 * @returns float32 `[N]`
 */
export function featureShares(rows: Tensor, mask: Tensor | undefined): Tensor {
  const { device, shape: [positions] } = rows;
  if (mask === undefined) return full(device, [positions], 1 / positions);
  const present = cast(reshape(notEqual(mask, 0), [positions]), "float32");
  return div(present, featureCount(positions, mask));
}

/** How many images the positions `[B, ...]` belong to: B. If there is no further axis, each feature counts as an
 * image. */
export function imageCount(positions: Shape, mask: Tensor | undefined): Operand {
  return positions.length > 1 ? positions[0] : featureCount(sizeOf(positions), mask);
}
