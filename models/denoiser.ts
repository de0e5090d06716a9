/** The interface of every diffusion network, which predicts the noise in images or latents. */
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { type Context, Module } from "../nn/module.ts";

/** The context of a denoiser. */
export interface DenoiseContext extends Context {
  /** int32 `[B]`: the class of each image, or `classes` for no class. By default no image has a class. */
  readonly labels?: Tensor;
}

/** The requirements that a denoiser must meet. */
export interface DenoiserNeeds {
  /** Channels of the images or latents. */
  readonly channels: number;
  /** The number of classes that the network is conditioned on; `null` without classes. */
  readonly classes: number | null;
}

/** A network that denoises images at known timesteps. Objectives and samplers use only this interface. To add your own,
 * write a subclass and add a line in `models/registry.ts`. The objective decides what the output means: the noise, the
 * image or the velocity.
 */
export abstract class Denoiser extends Module {
  /** Channels of the images or latents. */
  abstract readonly channels: number;
  /** The number of classes that the network is conditioned on; `null` without classes. */
  abstract readonly classes: number | null;

  /** Denoises: float32 `[B, H, W, channels]` → the same shape.
   * @param times the timestep of each image, which determines the strength of its noise
   * @throws {TypeError} the images have another number of channels, or there is not exactly one timestep per image
   */
  abstract forward(x: Tensor, times: ArrayLike<number>, context: DenoiseContext): Tensor;

  /** Rejects inputs that do not fit the network.
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
