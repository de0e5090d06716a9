/** Diffusion of images in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, UNETS } from "../models/registry.ts";
import { DiffusionObjective } from "./diffusion.ts";
import { DiffusionModel } from "./diffusion/model.ts";
import { DIFFUSION_SAMPLING } from "./diffusion/sampling.ts";
import {
  classesOf,
  DIFFUSION_SETTINGS,
  diffusionOptions,
  type DiffusionSettings,
  scheduleSetting,
} from "./diffusion/settings.ts";
import type { ObjectiveKind } from "./kind.ts";

/** Diffusion in pixels, with one network and one optimiser. */
export const diffusionKind: ObjectiveKind<DiffusionSettings> = {
  description: "remove noise from images: a generator",
  schema: z.strictObject({ schedule: scheduleSetting("linear"), ...DIFFUSION_SETTINGS }),
  models: UNETS,
  quantizes: false,
  stage1: "none",
  sampling: DIFFUSION_SAMPLING,
  make(device, needs) {
    const { seed, dataset, model } = needs;
    const own = { channels: dataset.imageShape[2], classes: classesOf(needs) };
    const denoiser = createModel(UNETS, device, own, model, randomKey(seed, "initial model"));
    return new DiffusionObjective({
      model: new DiffusionModel(denoiser),
      ...diffusionOptions(needs, denoiser.namedParameters()),
    });
  },
};
