/** The predictions of a denoiser (noise, image or velocity), and the conversions between them. */
import { add, mul, type Operand, sub } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { NoiseLevel } from "./schedule.ts";

/** The quantities that a network can predict from x_t = α·x₀ + σ·ε: the noise ε (arXiv 2006.11239), the image x₀, or
 * the velocity v = α·ε − σ·x₀ (arXiv 2202.00512). */
export const PREDICTIONS = ["epsilon", "x0", "v"] as const;

/** The name of a prediction. */
export type Prediction = typeof PREDICTIONS[number];

/** The image and the noise that a noisy image consists of. */
export interface Denoised {
  /** x₀, the image. */
  readonly original: Tensor;
  /** ε, the noise. */
  readonly noise: Tensor;
}

/** The strength of the noise: one for all images, or one for each, broadcast to the images. */
export interface Strength {
  /** The factor of the image. */
  readonly alpha: Operand;
  /** The factor of the noise. */
  readonly sigma: Operand;
}

/** x_t = α·x₀ + σ·ε. */
export function addNoise({ original, noise }: Denoised, { alpha, sigma }: Strength): Tensor {
  return add(mul(original, alpha), mul(noise, sigma));
}

/** The target of the network's prediction. */
export function predictionTarget(
  prediction: Prediction,
  { original, noise }: Denoised,
  { alpha, sigma }: Strength,
): Tensor {
  switch (prediction) {
    case "epsilon":
      return noise;
    case "x0":
      return original;
    case "v":
      return sub(mul(noise, alpha), mul(original, sigma));
  }
}

/** Computes image and noise from the network's output. If the output is exact, both are exact. Together they always
 * give x_t.
 *
 * ```ts
 * import { denoise, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1], [1]), output = device.tensor([0.5], [1]);
 * const { original, noise } = denoise("epsilon", output, x, { time: 0, alpha: 0.8, sigma: 0.6 });
 * assert.ok(Math.abs(await original.item() - (1 - 0.6 * 0.5) / 0.8) < 1e-6);
 * assert.equal(await noise.item(), 0.5);
 * ```
 * @param x x_t at this noise level; σ must not be 0
 */
export function denoise(
  prediction: Prediction,
  output: Tensor,
  x: Tensor,
  { alpha, sigma }: NoiseLevel,
): Denoised {
  switch (prediction) {
    case "epsilon":
      return { original: mul(sub(x, mul(output, sigma)), 1 / alpha), noise: output };
    case "x0":
      return { original: output, noise: mul(sub(x, mul(output, alpha)), 1 / sigma) };
    case "v":
      return {
        original: sub(mul(x, alpha), mul(output, sigma)),
        noise: add(mul(x, sigma), mul(output, alpha)),
      };
  }
}
