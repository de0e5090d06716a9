/** The samplers by name, and their settings. To add one, add a file in this folder and a line here. */
import * as z from "zod";
import { DdimSampler } from "./ddim.ts";
import { DdpmSampler, type Variance, VARIANCES } from "./ddpm.ts";
import { DpmSolverSampler } from "./dpm_solver.ts";
import type { Sampler } from "./sampler.ts";

/** The sampler of a diffusion and its settings. */
export interface SamplerSettings {
  /** The name of the sampler. */
  readonly sampler: string;
  /** For ddim: η, the amount of fresh noise at each step; 0 is deterministic. */
  readonly eta: number;
  /** For ddpm: the variance of the fresh noise. */
  readonly variance: Variance;
}

const SAMPLERS: Readonly<Record<string, (settings: SamplerSettings) => Sampler>> = {
  "ddim": ({ eta }) => new DdimSampler(eta),
  "ddpm": ({ variance }) => new DdpmSampler(variance),
  "dpm-solver": () => new DpmSolverSampler(),
};

/** The schema of these settings. */
export const SAMPLER_SETTINGS: z.ZodObject<
  { readonly [Name in keyof SamplerSettings]: z.ZodType<SamplerSettings[Name]> },
  z.core.$strict
> = z.strictObject({
  sampler: z.enum(Object.keys(SAMPLERS)).default("ddim").describe("the sampler"),
  eta: z.number().min(0).max(1).default(0)
    .describe("for ddim: η, the amount of fresh noise at each step; 0 is deterministic"),
  variance: z.enum([...VARIANCES]).default("large")
    .describe(
      "for ddpm: the variance of the fresh noise, β (large) or β·(1 − ᾱ_s)/(1 − ᾱ_t) (small)",
    ),
});

/** Makes the sampler of some settings.
 *
 * ```ts
 * import { createSampler, DdimSampler } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.ok(createSampler({ sampler: "ddim", eta: 0, variance: "large" }) instanceof DdimSampler);
 * ```
 */
export function createSampler(settings: SamplerSettings): Sampler {
  return SAMPLERS[settings.sampler](settings);
}
