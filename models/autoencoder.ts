/** The interface of every first stage: a network that compresses images to codes and reconstructs them. */
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import { Module } from "../nn/module.ts";
import type { QuantizeContext, Quantized, Quantizer } from "../quantizers/quantizer.ts";

/** The reconstruction of a batch of images. */
export interface Reconstruction {
  /** float32 `[B, H, W, C]`, unbounded. */
  readonly reconstruction: Tensor;
  /** float32 `[B, h, w, D]`: the output of the encoder. */
  readonly features: Tensor;
  /** The quantised features. */
  readonly quantized: Quantized;
}

/** An encoder, a quantiser and a decoder. Objectives and tasks use only this interface. To add your own first stage,
 * write a subclass and add a line in `models/registry.ts`.
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

  /** The weight of the decoder's last convolution. Adversarial training balances its losses by their gradients with
   * respect to this weight. */
  abstract get lastWeight(): Tensor;

  /** Encodes images: float32 `[B, H, W, C]` → `[B, h, w, D]`.
   * @throws {TypeError} the images have another number of channels, or a side is not divisible by the downsampling
   */
  abstract encode(images: Tensor, context?: Context): Tensor;

  /** Decodes codes: float32 `[B, h, w, D]` → `[B, H, W, C]`. */
  abstract decode(codes: Tensor, context?: Context): Tensor;

  /** Compresses and reconstructs images: float32 `[B, H, W, C]`. It changes no state.
   * @throws {TypeError} as `encode`
   */
  forward(images: Tensor, context: QuantizeContext): Reconstruction {
    return this.rebuild(this.encode(images, context), context);
  }

  /** Quantises features and reconstructs their images.
   * @param features float32 `[B, h, w, D]`
   */
  rebuild(features: Tensor, context: QuantizeContext): Reconstruction {
    const quantized = this.quantizer.quantize(features, context);
    return { reconstruction: this.decode(quantized.quantized, context), features, quantized };
  }

  /** Rejects images that do not fit the model.
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
