/** What every first stage is: a network that compresses images to codes and rebuilds them. */
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import { Module } from "../nn/module.ts";
import type { QuantizeContext, Quantized, Quantizer } from "../quantizers/quantizer.ts";

/** What a model makes of a batch of images. */
export interface Reconstruction {
  /** float32 `[B, H, W, C]`, unbounded. */
  readonly reconstruction: Tensor;
  /** float32 `[B, h, w, D]`: what the encoder gave. */
  readonly features: Tensor;
  /** What the quantiser made of the features. */
  readonly quantized: Quantized;
}

/** An encoder, a quantiser and a decoder. Objectives and tasks know a first stage only as this; one of your own is a
 * subclass and a line in `models/registry.ts`.
 *
 * h = H / downsampling and w = W / downsampling.
 */
export abstract class Autoencoder extends Module {
  /** How many times longer the side of an image is than the side of its latent grid. */
  abstract readonly downsampling: number;
  /** Channels of the images. */
  abstract readonly channels: number;
  /** Replaces features by codes. */
  abstract readonly quantizer: Quantizer;

  /** The weight of the decoder's last convolution: adversarial training balances its losses by their gradients there. */
  abstract get lastWeight(): Tensor;

  /** Encodes images: float32 `[B, H, W, C]` → `[B, h, w, D]`.
   * @throws {TypeError} the images have another number of channels, or a side is not divisible by the downsampling
   */
  abstract encode(images: Tensor, context?: Context): Tensor;

  /** Decodes codes: float32 `[B, h, w, D]` → `[B, H, W, C]`. */
  abstract decode(codes: Tensor, context?: Context): Tensor;

  /** Compresses and rebuilds: float32 `[B, H, W, C]`; changes no state.
   * @throws {TypeError} as `encode`
   */
  forward(images: Tensor, context: QuantizeContext): Reconstruction {
    return this.rebuild(this.encode(images, context), context);
  }

  /** Quantises features and rebuilds the images that they are of.
   * @param features float32 `[B, h, w, D]`
   */
  rebuild(features: Tensor, context: QuantizeContext): Reconstruction {
    const quantized = this.quantizer.quantize(features, context);
    return { reconstruction: this.decode(quantized.quantized, context), features, quantized };
  }

  /** Rejects images that the model cannot take.
   * @throws {TypeError} as `encode`
   */
  protected checkImages({ shape }: Tensor): void {
    const [, height, width, channels] = shape;
    const { downsampling } = this;
    const good = shape.length === 4 && channels === this.channels;
    if (!good || height % downsampling !== 0 || width % downsampling !== 0) {
      throw new TypeError(
        `Cannot encode images: they must be [B, H, W, ${this.channels}] with sides divisible by ${downsampling}, ` +
          `got shape ${showShape(shape)}`,
      );
    }
  }
}
