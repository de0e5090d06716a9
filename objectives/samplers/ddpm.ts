/** The ancestral sampler of DDPM (arXiv 2006.11239). */
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Sampler, SamplerStep } from "./sampler.ts";

/** The variance of the fresh noise: β_t ("large": exact for normally distributed data with standard deviation 1), or
 * β̃_t = β_t·(1 − ᾱ_s)/(1 − ᾱ_t) ("small": exact for a single image). */
export const VARIANCES = ["large", "small"] as const;

/** The name of a variance. */
export type Variance = typeof VARIANCES[number];

/** x_s = (x_t − β/√(1 − ᾱ_t)·ε)/√α + √variance·z, without noise at the last step. For a step over several times, α =
 * ᾱ_t/ᾱ_s and β = 1 − α. For a step to the adjacent time, these are α_t and β_t.
 *
 * ```ts
 * import { DdpmSampler, NoiseSchedule, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const schedule = new NoiseSchedule({ type: "linear", times: 1000 });
 * const x = device.tensor([1], [1]), noise = device.tensor([0], [1]);
 * const step = { x, denoised: { original: x, noise }, random: () => noise };
 * const next = new DdpmSampler("small").step({ ...step, from: schedule.level(999), to: schedule.level(998) });
 * assert.ok(Math.abs(await next.item() - 1 / Math.sqrt(0.98)) < 1e-6);
 * ```
 */
export class DdpmSampler implements Sampler {
  readonly #variance: Variance;

  /** Sets the variance.
   * @param variance the variance of the fresh noise
   */
  constructor(variance: Variance) {
    this.#variance = variance;
  }

  step({ x, denoised, from, to, random }: SamplerStep): Tensor {
    const alpha = (from.alpha / to.alpha) ** 2, beta = 1 - alpha;
    const mean = mul(sub(x, mul(denoised.noise, beta / from.sigma)), 1 / Math.sqrt(alpha));
    if (to.sigma === 0) return mean;
    const variance = this.#variance === "large" ? beta : beta * (to.sigma / from.sigma) ** 2;
    return add(mean, mul(random(), Math.sqrt(variance)));
  }
}
