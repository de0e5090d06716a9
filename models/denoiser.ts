/** What every network of a diffusion is: it says what noise is in images, or in latents. */
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { type Context, Module } from "../nn/module.ts";

/** What a denoiser is told besides its input. */
export interface DenoiseContext extends Context {
  /** int32 `[B]`: the class of each image, or `classes` for none. By default none. */
  readonly labels?: Tensor;
}

/** What a denoiser is made for. */
export interface DenoiserNeeds {
  /** Channels of the images or latents. */
  readonly channels: number;
  /** How many classes it is told apart; none where it is told of no class. */
  readonly classes: number | null;
}

/** A network over noisy images at known times. Objectives and samplers know it only as this; one of your own is a
 * subclass and a line in `models/registry.ts`. What its output means (the noise, the image, the velocity) is the
 * objective's to say.
 */
export abstract class Denoiser extends Module {
  /** Channels of the images or latents. */
  abstract readonly channels: number;
  /** How many classes it is told apart; none where it is told of no class. */
  abstract readonly classes: number | null;

  /** Denoises: float32 `[B, H, W, channels]` → the same shape.
   * @param times of each image, at which its noise has the strength that it has
   * @throws {TypeError} the images have another number of channels, or not one time an image
   */
  abstract forward(x: Tensor, times: ArrayLike<number>, context: DenoiseContext): Tensor;

  /** Rejects what the network cannot take.
   * @throws {TypeError} as `forward`
   */
  protected checkInput({ shape }: Tensor, times: ArrayLike<number>, labels?: Tensor): void {
    const [batch] = shape;
    if (shape.length !== 4 || shape[3] !== this.channels) {
      throw new TypeError(
        `Cannot denoise: the images must be [B, H, W, ${this.channels}], got shape ${
          showShape(shape)
        }`,
      );
    }
    if (times.length !== batch) {
      throw new TypeError(
        `Cannot denoise: each of the ${batch} images must have a time, got ${times.length}`,
      );
    }
    if (labels === undefined) return;
    if (this.classes === null) {
      throw new TypeError("Cannot denoise: a network without classes takes no labels, got some");
    }
    if (labels.shape.length !== 1 || labels.size !== batch) {
      throw new TypeError(
        `Cannot denoise: the labels must be [${batch}], got shape ${showShape(labels.shape)}`,
      );
    }
  }
}
