/** The sampling settings of a diffusion model. */
import * as z from "zod";
import { SAMPLER_SETTINGS, type SamplerSettings } from "../samplers/registry.ts";

/** Sampling settings, those of `deno task sample`. */
export interface DiffusionSampling extends SamplerSettings {
  /** The number of denoising steps; at most the number of the diffusion's timesteps. */
  readonly steps: number;
  /** The scale of classifier-free guidance: 1 samples as the model learned, and larger values move further away from the
   * prediction without a class. */
  readonly guidance: number;
}

/** The schema of these settings. */
export const DIFFUSION_SAMPLING: z.ZodObject<
  { readonly [Name in keyof DiffusionSampling]: z.ZodType<DiffusionSampling[Name]> },
  z.core.$strict
> = z.strictObject({
  steps: z.int().min(1).default(50)
    .describe("the number of denoising steps, at most objective.times"),
  guidance: z.number().default(1)
    .describe(
      "scale of classifier-free guidance: 1 samples as the model learned, larger values follow the class more strongly",
    ),
  ...SAMPLER_SETTINGS.shape,
});
