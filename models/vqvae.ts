/** The small VQ-VAE of the ablations (van den Oord et al. 2017, arXiv 1711.00937, section 4.1). */
import * as z from "zod";
import { add, relu } from "../core/functions/elementwise.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Conv2d, ConvTranspose2d } from "../nn/convolution.ts";
import { partKey } from "../nn/initializers.ts";
import { Layer } from "../nn/module.ts";
import type { Quantizer } from "../quantizers/quantizer.ts";
import { Autoencoder } from "./autoencoder.ts";
import type { ModelKind } from "./kind.ts";

/** Options of the constructor. */
export interface VQVAEOptions {
  /** Channels of the images: 1 grey, 3 colour. */
  readonly channels: number;
  /** Channels of the hidden layers, even; by default 128. */
  readonly hidden?: number;
  /** Channels inside the residual blocks; by default 32. */
  readonly residualHidden?: number;
  /** Residual blocks on each side; by default 2. */
  readonly residualLayers?: number;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** relu(x + conv1×1(relu(conv3×3(x)))), for an x that has passed a relu. */
class ResidualBlock extends Layer {
  readonly conv3: Conv2d;
  readonly conv1: Conv2d;

  constructor(device: Device, hidden: number, residualHidden: number, key: RandomKey) {
    super();
    const keys = [0, 1].map((part) => partKey(key, part));
    this.conv3 = new Conv2d(device, hidden, residualHidden, {
      key: keys[0],
      kernelSize: 3,
      padding: 1,
      relu: true,
    });
    this.conv1 = new Conv2d(device, residualHidden, hidden, { key: keys[1], kernelSize: 1 });
  }

  /** The backward pass does not need the values of the branch or the sum. */
  forward(x: Tensor): Tensor {
    using branch = this.conv1.forward(this.conv3.forward(x));
    using sum = add(x, branch);
    return relu(sum);
  }
}

/** The residual stack. In the authors' model each block applies its first relu in place, so the skip path also carries
 * the rectified values. Here each block ends with a relu, which serves as the first relu of the next block. So the
 * stack consists of just its blocks, applied to a rectified input. */
function residualStack(
  device: Device,
  { hidden = 128, residualHidden = 32, residualLayers = 2 }: VQVAEOptions,
  key: RandomKey,
): ResidualBlock[] {
  return Array.from(
    { length: residualLayers },
    (_, block) => new ResidualBlock(device, hidden, residualHidden, partKey(key, block)),
  );
}

/** Two strided convolutions, a residual stack, and a 1×1 convolution to D channels. */
class Encoder extends Layer {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;
  readonly residual: readonly ResidualBlock[];
  readonly toFeatures: Conv2d;

  constructor(device: Device, width: number, options: VQVAEOptions, key: RandomKey) {
    super();
    const { channels, hidden = 128 } = options;
    const half = { kernelSize: 4, stride: 2, padding: 1, relu: true };
    this.conv1 = new Conv2d(device, channels, hidden / 2, { key: partKey(key, 0), ...half });
    this.conv2 = new Conv2d(device, hidden / 2, hidden, { key: partKey(key, 1), ...half });
    this.conv3 = new Conv2d(device, hidden, hidden, {
      key: partKey(key, 2),
      kernelSize: 3,
      padding: 1,
      relu: true,
    });
    this.residual = residualStack(device, options, partKey(key, 3));
    this.toFeatures = new Conv2d(device, hidden, width, { key: partKey(key, 4), kernelSize: 1 });
  }

  forward(images: Tensor): Tensor {
    const hidden = this.conv3.forward(this.conv2.forward(this.conv1.forward(images)));
    const rectified = this.residual.reduce((x, block) => block.forward(x), hidden);
    return this.toFeatures.forward(rectified);
  }
}

/** A convolution, a residual stack, and two transposed convolutions to the image. */
class Decoder extends Layer {
  readonly conv1: Conv2d;
  readonly residual: readonly ResidualBlock[];
  readonly up1: ConvTranspose2d;
  readonly up2: ConvTranspose2d;

  constructor(device: Device, width: number, options: VQVAEOptions, key: RandomKey) {
    super();
    const { channels, hidden = 128 } = options;
    const twice = { kernelSize: 4, stride: 2, padding: 1 };
    this.conv1 = new Conv2d(device, width, hidden, {
      key: partKey(key, 0),
      kernelSize: 3,
      padding: 1,
      relu: true,
    });
    this.residual = residualStack(device, options, partKey(key, 1));
    this.up1 = new ConvTranspose2d(device, hidden, hidden / 2, {
      key: partKey(key, 2),
      ...twice,
      relu: true,
    });
    this.up2 = new ConvTranspose2d(device, hidden / 2, channels, {
      key: partKey(key, 3),
      ...twice,
    });
  }

  forward(codes: Tensor): Tensor {
    const rectified = this.residual.reduce(
      (x, block) => block.forward(x),
      this.conv1.forward(codes),
    );
    return this.up2.forward(this.up1.forward(rectified));
  }
}

/** The small VQ-VAE. It maps images with sides divisible by 4 to a latent grid with a quarter of the side, and back.
 *
 * ```ts
 * import { openDevice, randomKey, VanillaQuantizer, VQVAE } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = device.tensor(new Float32Array(64), [1, 8, 8, 1]);
 * const { reconstruction } = model.forward(images, { training: false, key });
 * assert.deepEqual(reconstruction.shape, images.shape);
 * ```
 */
export class VQVAE extends Autoencoder {
  /** How many times longer the side of an image is than the side of its latent grid. */
  static readonly downsampling: number = 4;
  /** The same factor, of this model. */
  readonly downsampling: number = VQVAE.downsampling;
  /** Channels of the images. */
  readonly channels: number;
  /** Images `[B, H, W, C]` → features `[B, H/4, W/4, D]`. */
  readonly encoder: Layer;
  /** Replaces features by codes. */
  readonly quantizer: Quantizer;
  /** Codes `[B, h, w, D]` → images `[B, 4h, 4w, C]`. */
  readonly decoder: Layer;
  readonly #lastWeight: Tensor;

  /** Makes the encoder and the decoder around a quantiser.
   * @throws {RangeError} `hidden` is odd
   */
  constructor(device: Device, quantizer: Quantizer, options: VQVAEOptions) {
    super();
    const { channels, hidden = 128, key } = options;
    if (hidden % 2 !== 0) {
      throw new RangeError(`Cannot make a VQ-VAE: hidden must be even, got ${hidden}`);
    }
    const width = quantizer.codebookDim;
    this.channels = channels;
    this.encoder = new Encoder(device, width, options, partKey(key, 0));
    this.quantizer = quantizer;
    const decoder = new Decoder(device, width, options, partKey(key, 1));
    this.decoder = decoder;
    this.#lastWeight = decoder.up2.weight;
  }

  /** The weight of the decoder's last convolution. */
  get lastWeight(): Tensor {
    return this.#lastWeight;
  }

  /** Images `[B, H, W, C]` → features `[B, H/4, W/4, D]`.
   * @throws {TypeError} the images have another number of channels, or a side is not divisible by 4
   */
  encode(images: Tensor): Tensor {
    this.checkImages(images);
    return this.encoder.forward(images);
  }

  /** Codes `[B, h, w, D]` → images `[B, 4h, 4w, C]`. */
  decode(codes: Tensor): Tensor {
    return this.decoder.forward(codes);
  }
}

/** The settings of the small VQ-VAE in a configuration. */
export interface VQVAESettings {
  /** Channels of the hidden layers, even. */
  readonly hidden: number;
  /** Channels inside the residual blocks. */
  readonly residualHidden: number;
  /** Residual blocks on each side. */
  readonly residualLayers: number;
}

/** The small VQ-VAE in the registry. */
export const vqvaeKind: ModelKind<
  VQVAE,
  { readonly quantizer: Quantizer; readonly channels: number },
  VQVAESettings
> = {
  schema: z.strictObject({
    hidden: z.int().min(2).multipleOf(2).default(128).describe("channels of the hidden layers"),
    residualHidden: z.int().min(1).default(32).describe("channels inside the residual blocks"),
    residualLayers: z.int().min(0).default(2).describe("residual blocks on each side"),
  }),
  make(device, { quantizer, channels }, settings, key) {
    return new VQVAE(device, quantizer, { channels, ...settings, key });
  },
};
