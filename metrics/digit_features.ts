/** A small classifier of digits, trained with this toolkit in seconds: features for a Fréchet distance if Inception's
 * weights are not available. Numbers measured with it are called `FID (digit features)`, never FID.
 */
import type { RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { classifierKey, ImageClassifier, trainFor } from "./image_classifier.ts";
import type { Images } from "./images.ts";

const DIGITS = { imageShape: [28, 28, 1], classes: 10 } as const;
const EPOCHS = 3;

/** Grey images `[B, 28, 28, 1]` in [−1, 1] → 64 features → 10 classes. */
export class DigitClassifier extends ImageClassifier {
  /** Makes the initial weights. */
  constructor(device: Device, key: RandomKey) {
    super(device, DIGITS, key);
  }
}

/** Trains the classifier for three epochs with Adam. Every run on the same kind of device gives the same weights.
 * @param images `[count, 28, 28, 1]`, in [−1, 1]
 * @param labels one digit per image
 */
export async function trainDigitClassifier(
  device: Device,
  { values, shape: [, ...imageShape] }: Images,
  labels: Int32Array,
): Promise<DigitClassifier> {
  const classifier = new DigitClassifier(device, classifierKey("digit"));
  const size = sizeOf(imageShape);
  const images = async (indices: Int32Array) => {
    const chosen = new Float32Array(indices.length * size);
    indices.forEach((index, at) => {
      chosen.set(values.subarray(index * size, (index + 1) * size), at * size);
    });
    return await Promise.resolve(chosen);
  };
  const labelled = { ...DIGITS, labels, images };
  await trainFor(classifier, device, labelled, { what: "digit", epochs: EPOCHS });
  return classifier;
}
