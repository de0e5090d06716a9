/** How to sample the model of a diffusion. */
import * as z from "zod";
import { SAMPLER_SETTINGS, type SamplerSettings } from "../samplers/registry.ts";

/** Sampling settings, those of `deno task sample`. */
export interface DiffusionSampling extends SamplerSettings {
  /** How many steps lead from noise to an image; at most as many as the diffusion has times. */
  readonly steps: number;
  /** The scale of classifier-free guidance: 1 samples as the model learned, more moves further away from images without
   * a class. */
  readonly guidance: number;
}

/** The schema of these settings. */
export const DIFFUSION_SAMPLING: z.ZodObject<
  { readonly [Name in keyof DiffusionSampling]: z.ZodType<DiffusionSampling[Name]> },
  z.core.$strict
> = z.strictObject({
  steps: z.int().min(1).default(50)
    .describe("how many steps lead from noise to an image, at most objective.times"),
  guidance: z.number().default(1)
    .describe(
      "scale of classifier-free guidance: 1 samples as the model learned, more follows the class more strongly",
    ),
  ...SAMPLER_SETTINGS.shape,
});
