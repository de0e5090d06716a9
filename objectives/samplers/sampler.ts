/** What every sampler of a diffusion is: a step from a time to an earlier one. */
import type { Tensor } from "../../core/tensor.ts";
import type { Denoised } from "../diffusion/prediction.ts";
import type { NoiseLevel } from "../diffusion/schedule.ts";

/** A step of the walk from noise to an image. */
export interface SamplerStep {
  /** x_t, float32 `[B, ...]`. */
  readonly x: Tensor;
  /** What the network takes it to be made of. */
  readonly denoised: Denoised;
  /** Its noise. */
  readonly from: NoiseLevel;
  /** The noise after the step, less; at the last none. */
  readonly to: NoiseLevel;
  /** What the step before was from, and the image that the network saw there; none at the first. */
  readonly before?: { readonly from: NoiseLevel; readonly original: Tensor };
  /** Fresh normal numbers of x's shape; asked for at most once. */
  readonly random: () => Tensor;
}

/** Takes steps. It knows the network only by what it says of each x_t, and has no state. */
export interface Sampler {
  /** x at the less noisy time.
   * @returns float32, of x's shape
   */
  step(step: SamplerStep): Tensor;
}
