/** Padding: positions of a batch that hold no feature. */
import { cast, div, maximum, mul, notEqual, where } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";

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

/** The indices int32 `[...]`, with −1 in place of the padding. */
export function maskIndices(indices: Tensor, mask: Tensor | undefined): Tensor {
  return mask === undefined ? indices : where(notEqual(mask, 0), indices, -1);
}

/** A mean over all positions, of values that are 0 at the padding, made the mean over the features; 0 where there are
 * none.
 * @param average a scalar
 */
export function meanOfFeatures(average: Tensor, mask: Tensor | undefined): Tensor {
  if (mask === undefined) return average;
  const features = sum(cast(notEqual(mask, 0), "float32"));
  return mul(average, div(mask.size, maximum(features, 1)));
}
