/** The DDIM sampler (arXiv 2010.02502). */
import { add, mul } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Sampler, SamplerStep } from "./sampler.ts";

/** x_s = √ᾱ_s·x̂₀ + √(1 − ᾱ_s − σ²)·ε + σ·z, σ = η·√((1 − ᾱ_s)/(1 − ᾱ_t))·√(1 − ᾱ_t/ᾱ_s). With η = 0 the starting noise
 * determines the sample. η = 1 gives DDPM with the small variance.
 *
 * ```ts
 * import { DdimSampler, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1], [1]);
 * const denoised = { original: device.tensor([0.5], [1]), noise: x };
 * const from = { time: 9, alpha: 0.6, sigma: 0.8 }, to = { time: -1, alpha: 1, sigma: 0 };
 * const next = new DdimSampler(0).step({ x, denoised, from, to, random: () => x });
 * assert.equal(await next.item(), 0.5);
 * ```
 */
export class DdimSampler implements Sampler {
  readonly #eta: number;

  /** Sets η.
   * @param eta η in [0, 1]: the amount of fresh noise; 0 makes the sampler deterministic
   * @throws {RangeError} `eta` is not in [0, 1]
   */
  constructor(eta: number) {
    if (!(eta >= 0 && eta <= 1)) {
      throw new RangeError(`Cannot sample by DDIM: eta must be in [0, 1], got ${eta}`);
    }
    this.#eta = eta;
  }

  step({ denoised, from, to, random }: SamplerStep): Tensor {
    const kept = (from.alpha / to.alpha) ** 2;
    const fresh = this.#eta * to.sigma / from.sigma * Math.sqrt(1 - kept);
    const old = Math.sqrt(Math.max(0, to.sigma ** 2 - fresh ** 2));
    const next = add(mul(denoised.original, to.alpha), mul(denoised.noise, old));
    return fresh === 0 ? next : add(next, mul(random(), fresh));
  }
}
