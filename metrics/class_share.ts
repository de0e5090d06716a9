/** Measures whether a generator makes the requested classes. */
import { withoutGradients } from "../core/execute.ts";
import { argmax } from "../core/functions/reductions.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import type { Images } from "./images.ts";

/** A classifier of images, such as the result of `trainDigitClassifier`. */
export interface Classifier {
  /** Images `[B, H, W, C]` in [−1, 1] → the logits of the classes, `[B, classes]`. */
  classify(images: Tensor): Tensor;
}

/** The largest number of images to classify at once. */
const BATCH = 256;

/** The fraction of images whose most likely class is the requested one. On a tie, the lowest class counts.
 *
 * ```ts
 * import { classShare, openDevice, reshape } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const classifier = { classify: (images: Parameters<typeof reshape>[0]) => reshape(images, [-1, 2]) };
 * const images = { values: Float32Array.of(1, 0, 1, 0), shape: [2, 1, 2, 1] as const };
 * assert.equal(await classShare(device, classifier, images, Int32Array.of(0, 1)), 0.5);
 * ```
 * @param device the classifier's device
 * @param asked the requested class of each image, `[count]`
 * @param replicas the processes that classify the images together, each some batches
 * @returns in [0, 1]
 * @throws {TypeError} the number of classes is not the number of images, or the values do not match the shape
 * @throws {RangeError} there is no image, or a requested class does not exist
 */
export async function classShare(
  device: Device,
  classifier: Classifier,
  { values, shape: [count, ...imageShape] }: Images,
  asked: Int32Array,
  replicas: Replicas = SINGLE,
): Promise<number> {
  const size = sizeOf(imageShape);
  if (count < 1) {
    throw new RangeError(
      `Cannot take a share of classes: at least 1 image is needed, got ${count}`,
    );
  }
  if (asked.length !== count || values.length !== count * size) {
    throw new TypeError(
      `Cannot take a share of classes: ${count} images must have as many classes and ${
        count * size
      } values, got ${asked.length} classes and ${values.length} values`,
    );
  }
  let right = 0;
  for (let start = replicas.rank * BATCH; start < count; start += replicas.count * BATCH) {
    using _scope = device.scope();
    const end = Math.min(count, start + BATCH);
    const batch = new Float32Array(values.subarray(start * size, end * size));
    const logits = withoutGradients(() =>
      classifier.classify(device.tensor(batch, [end - start, ...imageShape]))
    );
    const [, classes] = logits.shape;
    const wanted = asked.subarray(start, end);
    const unknown = wanted.find((one) => one < 0 || one >= classes);
    if (unknown !== undefined) {
      throw new RangeError(
        `Cannot take a share of classes: each class must be one of 0 to ${
          classes - 1
        }, got ${unknown}`,
      );
    }
    const guesses = await argmax(logits).integers();
    guesses.forEach((guess, at) => right += guess === wanted[at] ? 1 : 0);
  }
  replicas.wait("for the classes");
  using _scope = device.scope();
  const [total] = await replicas.sum(device.tensor(Int32Array.of(right), [1])).integers();
  return total / count;
}
