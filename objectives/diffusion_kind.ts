/** Diffusion in the registry. */
import * as z from "zod";
import { randomKey } from "../core/random.ts";
import { createModel, UNETS } from "../models/registry.ts";
import { DiffusionObjective, type DiffusionSampling } from "./diffusion.ts";
import { type Cache, CACHES } from "./diffusion/cached_features.ts";
import { LatentSpace, type Scaling, SCALINGS } from "./diffusion/latents.ts";
import { DiffusionModel } from "./diffusion/model.ts";
import { type Prediction, PREDICTIONS } from "./diffusion/prediction.ts";
import { NoiseSchedule, type ScheduleName, SCHEDULES } from "./diffusion/schedule.ts";
import type { ObjectiveKind, ObjectiveNeeds } from "./kind.ts";
import { constructLearningRate, constructOptimizer } from "./optimizer_settings.ts";
import { SAMPLER_SETTINGS } from "./samplers/registry.ts";

/** The settings of a diffusion, as configurations hold them. */
export interface DiffusionSettings {
  /** How the noise grows. */
  readonly schedule: ScheduleName;
  /** T. */
  readonly times: number;
  /** The first β; none: the schedule's own. */
  readonly firstBeta: number | null;
  /** The last β; none: the schedule's own. */
  readonly lastBeta: number | null;
  /** What the network predicts. */
  readonly prediction: Prediction;
  /** How the first stage's features are scaled. */
  readonly scaling: Scaling;
  /** How many principal components of the features are the latents; none: the features' channels are. */
  readonly components: number | null;
  /** Which features of training images are kept in memory. */
  readonly cache: Cache;
  /** Whether the network is told the classes. */
  readonly classes: boolean;
  /** The probability that it is not told an image's class. */
  readonly dropClass: number;
  /** Steps of the images that are shown after an epoch. */
  readonly previewSteps: number;
}

const beta = (which: string) =>
  z.number().gt(0).lt(1).nullable().default(null)
    .describe(`the ${which} β of linear and sqrt-linear; none: as published`);

/** How a diffusion's model is sampled. */
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

/** Diffusion, with one network and one optimiser. */
export const diffusionKind: ObjectiveKind<DiffusionSettings> = {
  description: "take noise off images, or off the latents of a first stage: a generator",
  schema: z.strictObject({
    schedule: z.enum([...SCHEDULES]).default("sqrt-linear").describe("how the noise grows"),
    times: z.int().min(1).default(1000).describe("T, the times of the diffusion"),
    firstBeta: beta("first"),
    lastBeta: beta("last"),
    prediction: z.enum([...PREDICTIONS]).default("epsilon")
      .describe("what the network predicts: the noise, the image or the velocity"),
    scaling: z.enum([...SCALINGS]).default("one").describe(
      "how a first stage's features are scaled to a deviation of 1: by one number, or each channel",
    ),
    components: z.int().min(1).nullable().default(null)
      .describe(
        "principal components of the features that are the latents; none: the features' channels",
      ),
    cache: z.enum([...CACHES]).default("none").describe(
      "features of training images that are kept in memory: none, of the images as they are, of their mirror images too",
    ),
    classes: z.boolean().default(false).describe("whether the network is told the classes"),
    dropClass: z.number().min(0).lt(1).default(0.1)
      .describe("the probability that it is not told an image's class, for guidance"),
    previewSteps: z.int().min(1).default(20)
      .describe("steps of the images that are shown after an epoch"),
  }),
  models: UNETS,
  quantizes: false,
  stage1: "optional",
  sampling: DIFFUSION_SAMPLING,
  make(device, needs) {
    const { seed, dataset, settings, model, optimizer, steps, stage1 } = needs;
    const { schedule, times, firstBeta, lastBeta, previewSteps, classes } = settings;
    const noise = new NoiseSchedule({
      ...{ type: schedule, times },
      ...{ first: firstBeta ?? undefined, last: lastBeta ?? undefined },
    });
    checkFirstStage(needs);
    const latents = stage1 && new LatentSpace(device, {
      width: stage1.codebookDim,
      scaling: settings.scaling,
      components: settings.components ?? undefined,
    });
    const own = {
      channels: latents?.channels ?? dataset.imageShape[2],
      classes: classes ? dataset.classes?.length ?? 0 : null,
    };
    const denoiser = createModel(UNETS, device, own, model, randomKey(seed, "initial model"));
    return new DiffusionObjective({
      model: new DiffusionModel(denoiser, latents),
      optimizer: constructOptimizer(optimizer, denoiser.namedParameters()),
      ...{ dataset, stage1, schedule: noise },
      ...{ prediction: settings.prediction, dropClass: settings.dropClass, cache: settings.cache },
      preview: { ...DIFFUSION_SAMPLING.parse({}), steps: Math.min(previewSteps, times) },
      learningRate: constructLearningRate(optimizer, steps),
      clipNorm: optimizer.clipNorm ?? undefined,
    });
  },
};

/** Refuses a first stage that does not fit the images, and settings of latents without one. */
function checkFirstStage({ dataset, settings, stage1 }: ObjectiveNeeds<DiffusionSettings>): void {
  const { imageShape: [height, width, channels], classes, labels } = dataset;
  if (settings.classes && (classes === undefined || labels === undefined)) {
    throw new RangeError(
      `Cannot train with classes: objective.classes must be false for a data set that tells none, got true with ${dataset.name}`,
    );
  }
  if (stage1 === undefined) {
    const wanted = settings.components ?? (settings.cache === "none" ? undefined : settings.cache);
    if (wanted === undefined) return;
    throw new RangeError(
      `Cannot make latents: objective.${
        settings.components === null ? "cache" : "components"
      } needs a first stage (--stage1), got ${wanted} without one`,
    );
  }
  const { downsampling } = stage1;
  if (stage1.channels !== channels) {
    throw new RangeError(
      `Cannot make latents: the images must have the ${stage1.channels} channels of the first stage's, got ${channels}`,
    );
  }
  if (height % downsampling === 0 && width % downsampling === 0) return;
  throw new RangeError(
    `Cannot make latents: the images' sides must be divisible by ${downsampling}, got ${height}×${width}`,
  );
}
