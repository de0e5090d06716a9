/** How a diffusion's model is sampled. */
import * as z from "zod";
import { SAMPLER_SETTINGS, type SamplerSettings } from "../samplers/registry.ts";

/** How images are made: settings of `deno task sample`. */
export interface DiffusionSampling extends SamplerSettings {
  /** Steps from noise to an image, at most as many as the diffusion has times. */
  readonly steps: number;
  /** How far the class is followed: 1 as it was learnt, more: further from images of no class. */
  readonly guidance: number;
}

/** The schema of these settings. */
export const DIFFUSION_SAMPLING: z.ZodObject<
  { readonly [Name in keyof DiffusionSampling]: z.ZodType<DiffusionSampling[Name]> },
  z.core.$strict
> = z.strictObject({
  steps: z.int().min(1).default(50)
    .describe("steps from noise to an image, at most objective.times"),
  guidance: z.number().default(1)
    .describe("how far the class is followed: 1 as it was learnt, more to overdo it"),
  ...SAMPLER_SETTINGS.shape,
});
