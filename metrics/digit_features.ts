/** A small classifier of digits, trained with this toolkit in seconds: features for a Fréchet distance if Inception's
 * weights are not available. Numbers measured with it are called `FID (digit features)`, never FID.
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
import type { Images } from "./images.ts";

const SIDE = 28, CHANNELS = 32, FEATURES = 64, CLASSES = 10;
const SEED = 20230515;
const EPOCHS = 3, BATCH = 64, LEARNING_RATE = 2e-3;

/** Grey images `[B, 28, 28, 1]` in [−1, 1] → 64 features → 10 classes. */
export class DigitClassifier extends Module {
  /** The length of a feature. */
  readonly dimensions: number = FEATURES;
  /** Two convolutions; each halves the size. */
  readonly convolutions: Sequential;
  /** Maps the output of the convolutions to features. */
  readonly body: Linear;
  /** Maps features to the logits of the classes. */
  readonly head: Linear;

  /** Makes the initial weights. */
  constructor(device: Device, key: RandomKey) {
    super();
    const half = { kernelSize: 3, stride: 2, padding: 1, relu: true };
    this.convolutions = new Sequential([
      new Conv2d(device, 1, 16, { ...half, key: partKey(key, 0) }),
      new Conv2d(device, 16, CHANNELS, { ...half, key: partKey(key, 1) }),
    ]);
    const inputs = CHANNELS * (SIDE / 4) ** 2;
    this.body = new Linear(device, inputs, FEATURES, { key: partKey(key, 2) });
    this.head = new Linear(device, FEATURES, CLASSES, { key: partKey(key, 3) });
  }

  /** The features `[B, 64]`, at least 0.
   * @throws {TypeError} the images are not grey and 28×28
   */
  forward(images: Tensor): Tensor {
    const [batch] = images.shape;
    if (!sameShape(images.shape, [batch, SIDE, SIDE, 1])) {
      throw new TypeError(
        `Cannot take digit features: the images must be [B, ${SIDE}, ${SIDE}, 1], got ${
          showShape(images.shape)
        }`,
      );
    }
    return relu(this.body.forward(reshape(this.convolutions.forward(images), [batch, -1])));
  }

  /** The logits of the classes, `[B, 10]`. */
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

/** Trains the classifier for three epochs with Adam. Every run on the same kind of device gives the same weights.
 * @param images `[count, 28, 28, 1]`, in [−1, 1]
 * @param labels one digit per image
 */
export async function trainDigitClassifier(
  device: Device,
  { values, shape: [count, ...imageShape] }: Images,
  labels: Int32Array,
): Promise<DigitClassifier> {
  const classifier = new DigitClassifier(device, randomKey(SEED, "digit classifier"));
  using optimizer = new Adam(classifier.namedParameters());
  const size = values.length / count;
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const order = permutation(randomKey(SEED, "digit order", epoch), count);
    for (let start = 0; start + BATCH <= count; start += BATCH) {
      using _scope = device.scope();
      const chosen = order.subarray(start, start + BATCH);
      const batch = new Float32Array(BATCH * size), targets = new Int32Array(BATCH);
      chosen.forEach((index, at) => {
        batch.set(values.subarray(index * size, (index + 1) * size), at * size);
        targets[at] = labels[index];
      });
      const logits = classifier.classify(device.tensor(batch, [BATCH, ...imageShape]));
      const loss = crossEntropy(logits, device.tensor(targets, [BATCH]));
      const gradients = backward(loss, classifier.parameters());
      withoutGradients(() => optimizer.step(gradients, LEARNING_RATE));
    }
    await device.synchronize();
  }
  return classifier;
}
