/** The interface of every diffusion sampler: a step from one timestep to an earlier one. */
import type { Tensor } from "../../core/tensor.ts";
import type { Denoised } from "../diffusion/prediction.ts";
import type { NoiseLevel } from "../diffusion/schedule.ts";

/** The input of a step from noise towards an image. */
export interface SamplerStep {
  /** x_t, float32 `[B, ...]`. */
  readonly x: Tensor;
  /** The image and the noise that the network predicts for x_t. */
  readonly denoised: Denoised;
  /** The noise level of x_t. */
  readonly from: NoiseLevel;
  /** The lower noise level after the step; after the last step there is no noise. */
  readonly to: NoiseLevel;
  /** The noise level that the previous step started from, and the image predicted there; `undefined` at the first
   * step. */
  readonly before?: { readonly from: NoiseLevel; readonly original: Tensor };
  /** Draws fresh normally distributed numbers in the shape of x. A step calls it at most once. */
  readonly random: () => Tensor;
}

/** Makes steps. It depends on the network only through the prediction for each x_t, and has no state. */
export interface Sampler {
  /** Computes x at the less noisy timestep.
   * @returns float32, of x's shape
   */
  step(step: SamplerStep): Tensor;
}
