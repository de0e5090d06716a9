/** The DPM-Solver++ 2M sampler (arXiv 2211.01095). */
import { add, mul } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { NoiseLevel } from "../diffusion/schedule.ts";
import type { Sampler, SamplerStep } from "./sampler.ts";

/** The second-order multistep solver of the diffusion's differential equation, in terms of the predicted image. With
 * λ = ln(α/σ), h = λ_t − λ_s and r = h_before/h, it computes D = (1 + 1/2r)·x̂₀(s) − 1/2r·x̂₀(before) and x_t =
 * σ_t/σ_s·x_s − α_t·(e^(−h) − 1)·D. The first step, and the last, where h is infinite, use D = x̂₀(s). It adds no
 * noise: the starting noise determines the sample.
 *
 * ```ts
 * import { DpmSolverSampler, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1], [1]);
 * const denoised = { original: device.tensor([0.5], [1]), noise: x };
 * const from = { time: 9, alpha: 0.6, sigma: 0.8 }, to = { time: -1, alpha: 1, sigma: 0 };
 * const next = new DpmSolverSampler().step({ x, denoised, from, to, random: () => x });
 * assert.equal(await next.item(), 0.5);
 * ```
 */
export class DpmSolverSampler implements Sampler {
  step({ x, denoised: { original }, from, to, before }: SamplerStep): Tensor {
    if (to.sigma === 0) return original;
    const h = signalToNoise(to) - signalToNoise(from);
    let direction = original;
    if (before !== undefined) {
      const ratio = (signalToNoise(from) - signalToNoise(before.from)) / h;
      const share = 1 / (2 * ratio);
      direction = add(mul(original, 1 + share), mul(before.original, -share));
    }
    return add(mul(x, to.sigma / from.sigma), mul(direction, -to.alpha * Math.expm1(-h)));
  }
}

/** λ = ln(α/σ). */
function signalToNoise({ alpha, sigma }: NoiseLevel): number {
  return Math.log(alpha / sigma);
}
