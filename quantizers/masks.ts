/** Padding: positions of a batch that hold no feature. */
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

/** The features, with zeros in place of the padding: no gradient passes there, whatever lies there.
 * @param features float32 `[..., D]`
 * @param mask float32 or int32 `[...]`: 0 where there is padding; none without padding
 * @throws {TypeError} the mask does not have one value a feature
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

/** A mask of positions `[...]` as one of rows: int32 `[N]`, 0 where there is padding. */
export function maskOfRows(mask: Tensor | undefined): Tensor | undefined {
  return mask === undefined ? undefined : reshape(notEqual(mask, 0), [mask.size]);
}

/** The indices int32 `[...]`, with −1 in place of the padding. */
export function maskIndices(indices: Tensor, mask: Tensor | undefined): Tensor {
  return mask === undefined ? indices : where(notEqual(mask, 0), indices, -1);
}

/** Where indices stand for a feature: int32 `[...]`, 0 at the padding.
 * @param indices int32 `[...]` with `codeAxes` behind
 */
export function presence(indices: Tensor, codeAxes: Shape): Tensor {
  if (codeAxes.length === 0) return greaterEqual(indices, 0);
  const positions = indices.shape.slice(0, -codeAxes.length);
  const rows = reshape(indices, [sizeOf(positions), -1]);
  const first = slice(rows, [0, 0], [rows.shape[0], 1]);
  return greaterEqual(reshape(first, positions), 0);
}

/** A mean over all positions, of values that are 0 at the padding, made the mean over the features; 0 where there are
 * none.
 * @param average a scalar
 */
export function meanOfFeatures(average: Tensor, mask: Tensor | undefined): Tensor {
  if (mask === undefined) return average;
  return mul(average, div(mask.size, featureCount(mask.size, mask)));
}

/** How many features there are: a number, or with a mask a scalar of at least 1.
 * @param positions how many positions a rank has
 * @param replicas whose features count; by default only this one's
 */
export function featureCount(
  positions: number,
  mask: Tensor | undefined,
  replicas: Replicas = SINGLE,
): Operand {
  if (mask === undefined) return positions * replicas.count;
  return maximum(replicas.sum(sum(cast(notEqual(mask, 0), "float32"))), 1);
}

/** The share of the global batch's features that this rank has: a number, or with a mask a scalar. */
function ownShare(mask: Tensor | undefined, replicas: Replicas): Operand {
  if (mask === undefined) return 1 / replicas.count;
  const own = sum(cast(notEqual(mask, 0), "float32"));
  return div(own, featureCount(mask.size, mask, replicas));
}

/** A mean over this rank's features, made the mean over those of all ranks; gradients pass. */
export function globalMean(average: Tensor, mask: Tensor | undefined, replicas: Replicas): Tensor {
  return replicas.count === 1 ? average : replicas.sum(mul(average, ownShare(mask, replicas)));
}

/** Losses that are means over this rank's features, so that the mean over the ranks is the mean over all features: the
 * padding leaves some ranks more features than others. One that is the same on all ranks stays so in the mean. */
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

/** The mask of the rows of all ranks. */
export function gatherMask(mask: Tensor | undefined, replicas: Replicas): Tensor | undefined {
  const own = maskOfRows(mask);
  return own === undefined ? undefined : replicas.gather(own);
}

/** Each position's share of a mean over the features: 1/n, and 0 at the padding.
 * @param rows one row a position, `[N, ...]`
 * @returns float32 `[N]`
 */
export function featureShares(rows: Tensor, mask: Tensor | undefined): Tensor {
  const { device, shape: [positions] } = rows;
  if (mask === undefined) return full(device, [positions], 1 / positions);
  const present = cast(reshape(notEqual(mask, 0), [positions]), "float32");
  return div(present, featureCount(positions, mask));
}

/** How many images the features at positions `[B, ...]` are of: B, or, where there is no further axis, as many as there
 * are features. */
export function imageCount(positions: Shape, mask: Tensor | undefined): Operand {
  return positions.length > 1 ? positions[0] : featureCount(sizeOf(positions), mask);
}
