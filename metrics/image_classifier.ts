/** Small classifiers of images, trained with this toolkit in seconds: features for a Fréchet distance if Inception's
 * weights are not available. Numbers measured with them are called `FID (learnt features)`, never FID.
 */
import { createHash } from "node:crypto";
import { backward, withoutGradients } from "../core/execute.ts";
import { relu } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { permutation, type RandomKey, randomKey } from "../core/random.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Conv2d } from "../nn/convolution.ts";
import { partKey } from "../nn/initializers.ts";
import { Linear } from "../nn/linear.ts";
import { crossEntropy } from "../nn/losses.ts";
import { Module, Sequential } from "../nn/module.ts";
import { Adam } from "../nn/optimizers.ts";

/** Channels of the first convolution and of all later ones, and the length of a feature. */
const FIRST = 16, CHANNELS = 32, FEATURES = 64;
/** Convolutions halve the sides until the longer one is at most this. */
const MOST_SIDE = 8;
const SEED = 20230515;
const BATCH = 64, LEARNING_RATE = 2e-3;

/** After six epochs, a classifier of emoji overfits, and the distance of real test images grows. */
const EPOCHS = 6, MOST_STEPS = 640;

/** The requirements that an image classifier must meet. */
export interface ImageClassifierOptions {
  /** Height, width and channels of the images. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** The number of classes. */
  readonly classes: number;
}

/** Images `[B, height, width, channels]` in [−1, 1] → 64 features → classes. */
export class ImageClassifier extends Module {
  /** The length of a feature. */
  readonly dimensions: number = FEATURES;
  /** Each convolution halves the sides. */
  readonly convolutions: Sequential;
  /** Maps the output of the convolutions to features. */
  readonly body: Linear;
  /** Maps features to the logits of the classes. */
  readonly head: Linear;
  readonly #imageShape: readonly number[];

  /** Makes the initial weights. */
  constructor(device: Device, { imageShape, classes }: ImageClassifierOptions, key: RandomKey) {
    super();
    let [height, width, channels] = imageShape;
    const convolutions: Conv2d[] = [];
    while (Math.max(height, width) > MOST_SIDE) {
      const outputs = convolutions.length === 0 ? FIRST : CHANNELS;
      convolutions.push(
        new Conv2d(device, channels, outputs, {
          ...{ kernelSize: 3, stride: 2, padding: 1, relu: true },
          key: partKey(key, convolutions.length),
        }),
      );
      [height, width, channels] = [Math.ceil(height / 2), Math.ceil(width / 2), outputs];
    }
    this.#imageShape = imageShape;
    this.convolutions = new Sequential(convolutions);
    const linear = convolutions.length;
    this.body = new Linear(device, channels * height * width, FEATURES, {
      key: partKey(key, linear),
    });
    this.head = new Linear(device, FEATURES, classes, { key: partKey(key, linear + 1) });
  }

  /** The features `[B, 64]`, at least 0.
   * @throws {TypeError} the images have another shape
   */
  forward(images: Tensor): Tensor {
    const [batch] = images.shape;
    if (!sameShape(images.shape, [batch, ...this.#imageShape])) {
      throw new TypeError(
        `Cannot take features of images: the images must be [B, ${
          this.#imageShape.join(", ")
        }], got ${showShape(images.shape)}`,
      );
    }
    return relu(this.body.forward(reshape(this.convolutions.forward(images), [batch, -1])));
  }

  /** The logits of the classes, `[B, classes]`. */
  classify(images: Tensor): Tensor {
    return this.head.forward(this.forward(images));
  }

  /** Identifies the weights: the first 12 hexadecimal digits of their SHA-256. */
  async hash(): Promise<string> {
    const digest = createHash("sha256");
    for (const { values } of (await this.stateDictionary()).values()) {
      digest.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    return digest.digest("hex").slice(0, 12);
  }
}

/** Images with their classes. */
export interface LabelledImages extends ImageClassifierOptions {
  /** The class of each image. */
  readonly labels: Int32Array;
  /** The values of the images with these indices, `[indices.length, height, width, channels]` in [−1, 1]. */
  images(indices: Int32Array): Promise<Float32Array<ArrayBuffer>>;
}

/** Trains a classifier with Adam, for six epochs and at most 640 steps of 64 images. Every run on the same kind of device
 * gives the same weights.
 *
 * ```ts
 * import { openDevice, trainImageClassifier } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const images = (indices: Int32Array) =>
 *   Promise.resolve(Float32Array.from(indices, (index) => index % 2));
 * const labels = Int32Array.of(0, 1, 0, 1);
 * const labelled = { imageShape: [1, 1, 1], classes: 2, labels, images } as const;
 * using classifier = await trainImageClassifier(device, labelled);
 * assert.equal(classifier.dimensions, 64);
 * ```
 */
export async function trainImageClassifier(
  device: Device,
  labelled: LabelledImages,
): Promise<ImageClassifier> {
  const classifier = new ImageClassifier(device, labelled, classifierKey("image"));
  await trainFor(classifier, device, labelled, { what: "image", epochs: EPOCHS });
  return classifier;
}

/** The key of the initial weights of a classifier. */
export function classifierKey(what: string): RandomKey {
  return randomKey(SEED, `${what} classifier`);
}

/** Trains for some epochs. The images left over after the last whole batch of an epoch are skipped.
 * @param what names the random order of the images
 */
export async function trainFor(
  classifier: ImageClassifier,
  device: Device,
  { imageShape, labels, images }: LabelledImages,
  { what, epochs }: { readonly what: string; readonly epochs: number },
): Promise<void> {
  using optimizer = new Adam(classifier.namedParameters());
  const size = Math.min(BATCH, labels.length), batches = Math.floor(labels.length / size);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = permutation(randomKey(SEED, `${what} order`, epoch), labels.length);
    for (let batch = 0; batch < batches && epoch * batches + batch < MOST_STEPS; batch++) {
      const chosen = order.slice(batch * size, (batch + 1) * size);
      const values = await images(chosen);
      using _scope = device.scope();
      const targets = device.tensor(chosen.map((index) => labels[index]), [size]);
      const logits = classifier.classify(device.tensor(values, [size, ...imageShape]));
      const gradients = backward(crossEntropy(logits, targets), classifier.parameters());
      withoutGradients(() => optimizer.step(gradients, LEARNING_RATE));
    }
    await device.synchronize();
  }
}
