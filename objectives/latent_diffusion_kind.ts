/** Diffusion of a first stage's latents in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, UNETS } from "../models/registry.ts";
import { DiffusionObjective } from "./diffusion.ts";
import { type Cache, CACHE_PLACES, type CachePlace, CACHES } from "./cached_encodings.ts";
import { LatentSpace, type Scaling, SCALINGS } from "./diffusion/latents.ts";
import { DiffusionModel } from "./diffusion/model.ts";
import { DIFFUSION_SAMPLING } from "./diffusion/sampling.ts";
import {
  classesOf,
  DIFFUSION_SETTINGS,
  diffusionOptions,
  type DiffusionSettings,
  scheduleSetting,
} from "./diffusion/settings.ts";
import { firstStageOf } from "./first_stage_of.ts";
import type { ObjectiveKind } from "./kind.ts";

/** The settings of a latent diffusion in a configuration. */
export interface LatentDiffusionSettings extends DiffusionSettings {
  /** How the first stage's features are scaled. */
  readonly scaling: Scaling;
  /** The number of principal components of the features that become the channels of the latents, at most as many as the
   * features have channels; `null`: the features' own channels. */
  readonly components: number | null;
  /** Which features of the training images are cached. */
  readonly cache: Cache;
  /** Where they are cached. */
  readonly cacheIn: CachePlace;
}

/** Diffusion over a finished first stage, with one network and one optimiser. */
export const latentDiffusionKind: ObjectiveKind<LatentDiffusionSettings> = {
  description: "remove noise from the latents of a first stage: a generator",
  schema: z.strictObject({
    schedule: scheduleSetting("sqrt-linear"),
    ...DIFFUSION_SETTINGS,
    scaling: z.enum([...SCALINGS]).default("one").describe(
      "how a first stage's features are scaled to a standard deviation of 1: by one factor for all channels, or by one factor per channel",
    ),
    components: z.int().min(1).nullable().default(null).describe(
      "the number of principal components of the features that become the channels of the latents, at most as many as the features have channels; none: the features' own channels",
    ),
    cache: z.enum([...CACHES]).default("none").describe(
      "which features are cached: none, those of the training images as they are, or also those of their mirror images",
    ),
    cacheIn: z.enum([...CACHE_PLACES]).default("memory").describe(
      "where they are cached: in memory, or in a file of the user's cache folder, for all runs over the first stage",
    ),
  }),
  models: UNETS,
  quantizes: false,
  stage1: "features",
  sampling: DIFFUSION_SAMPLING,
  make(device, needs) {
    const { seed, settings, model } = needs;
    const stage1 = firstStageOf(needs, "latents");
    const { scaling, components, cache, cacheIn } = settings;
    const width = stage1.codebookDim;
    const latents = new LatentSpace(device, {
      width,
      scaling,
      components: components === null ? undefined : Math.min(components, width),
    });
    const own = { channels: latents.channels, classes: classesOf(needs) };
    const denoiser = createModel(UNETS, device, own, model, randomKey(seed, "initial model"));
    return new DiffusionObjective({
      model: new DiffusionModel(denoiser, latents),
      ...diffusionOptions(needs, denoiser.namedParameters()),
      ...{ stage1, cache, cacheIn },
    });
  },
};
