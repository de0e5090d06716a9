/** PatchGAN, the discriminator of adversarial first stages (Isola et al. 2017, arXiv 1611.07004, 6.1.2). */
import { assign } from "../core/execute.ts";
import { normal } from "../core/functions/creation.ts";
import { leakyRelu } from "../core/functions/elementwise.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { BatchNorm } from "../nn/batch_norm.ts";
import { Conv2d } from "../nn/convolution.ts";
import { partKey } from "../nn/initializers.ts";
import { type Context, Layer } from "../nn/module.ts";

/** Options of the constructor. */
export interface DiscriminatorOptions {
  /** Channels of the images. */
  readonly channels: number;
  /** Channels after the first convolution; by default 64. */
  readonly width?: number;
  /** How many convolutions halve the side; by default 3. */
  readonly layers?: number;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** The slope of the leaky relu below 0. */
const SLOPE = 0.2;
/** The standard deviation of the initial weights around 0, and of the batch norms' scales around 1. */
const DEVIATION = 0.02;

/** A convolution, a batch norm and leaky relu. */
class Stage extends Layer {
  readonly conv: Conv2d;
  readonly norm: BatchNorm;

  constructor(device: Device, conv: Conv2d, outputs: number, key: RandomKey) {
    super();
    this.conv = conv;
    this.norm = new BatchNorm(device, outputs);
    assign(this.norm.weight, normal(device, [outputs], key, 1, DEVIATION));
  }

  forward(x: Tensor, context?: Context): Tensor {
    return leakyRelu(this.norm.forward(this.conv.forward(x), context), SLOPE);
  }
}

/** Predicts for each patch of an image whether it is real. The convolutions are 4×4, and the first `layers` of them
 * have stride 2. All but the first and the last are followed by a batch norm; all but the last by a leaky relu with
 * slope 0.2. With 3 layers a patch has 70×70 pixels.
 *
 * ```ts
 * import { Discriminator, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "discriminator");
 * const discriminator = new Discriminator(device, { channels: 1, width: 2, layers: 2, key });
 * const logits = discriminator.forward(device.tensor(new Float32Array(256), [1, 16, 16, 1]));
 * assert.deepEqual(logits.shape, [1, 2, 2, 1]);
 * ```
 */
export class Discriminator extends Layer {
  /** The first convolution, of the images. */
  readonly first: Conv2d;
  /** The convolutions with batch norm. */
  readonly stages: readonly Layer[];
  /** The last convolution, to the logits. */
  readonly last: Conv2d;

  /** Makes the convolutions. */
  constructor(device: Device, { channels, width = 64, layers = 3, key }: DiscriminatorOptions) {
    super();
    using _scope = device.scope();
    const conv = (inputs: number, outputs: number, stride: number, part: number, bias = true) => {
      const made = new Conv2d(device, inputs, outputs, {
        key: partKey(key, part),
        kernelSize: 4,
        padding: 1,
        stride,
        bias,
      });
      assign(made.weight, normal(device, made.weight.shape, partKey(key, part), 0, DEVIATION));
      return made;
    };
    const widthOf = (layer: number) => width * Math.min(2 ** layer, 8);
    this.first = conv(channels, width, 2, 0);
    this.stages = Array.from({ length: layers }, (_, index) => {
      const outputs = widthOf(index + 1), part = 2 * index + 1;
      const own = conv(widthOf(index), outputs, index + 1 < layers ? 2 : 1, part, false);
      return new Stage(device, own, outputs, partKey(key, part + 1));
    });
    this.last = conv(widthOf(layers), 1, 1, 2 * layers + 1);
    for (const tensor of [...this.parameters(), ...this.namedBuffers().values()]) {
      _scope.keep(tensor);
    }
  }

  /** The smallest side of images that the discriminator accepts. */
  static leastSide(layers: number): number {
    return 3 * 2 ** layers;
  }

  /** `[B, H, W, channels]` → logits `[B, H', W', 1]`. In training it updates the batch norms' running statistics.
   * @throws {TypeError} a side is too small
   */
  forward(images: Tensor, context?: Context): Tensor {
    const start = leakyRelu(this.first.forward(images), SLOPE);
    const features = this.stages.reduce((x, stage) => stage.forward(x, context), start);
    return this.last.forward(features);
  }
}
