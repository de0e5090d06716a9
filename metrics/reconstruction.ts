/** Reconstruction errors, computed on the device. */
import { square, sub } from "../core/functions/elementwise.ts";
import { mean } from "../core/functions/reductions.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";

/** The mean squared error of each image: two float32 `[B, H, W, C]` → `[B]`, in the images' own units squared.
 * @throws {TypeError} the shapes differ, or do not have four axes
 */
export function imageErrors(originals: Tensor, reconstructions: Tensor): Tensor {
  const { shape } = originals;
  if (shape.length !== 4 || !sameShape(shape, reconstructions.shape)) {
    throw new TypeError(
      `Cannot compare images: both must have the same shape [B, H, W, C], got ${
        showShape(shape)
      } and ${showShape(reconstructions.shape)}`,
    );
  }
  return mean(square(sub(reconstructions, originals)), [1, 2, 3]);
}
