/** The settings that every diffusion has, and what is made of them. */
import * as z from "zod";
import type { Tensor } from "../../core/tensor.ts";
import { classCount } from "../../data/dataset.ts";
import type { DiffusionOptions } from "../diffusion.ts";
import type { ObjectiveNeeds } from "../kind.ts";
import { constructLearningRate, constructOptimizer } from "../optimizer_settings.ts";
import { type Prediction, PREDICTIONS } from "./prediction.ts";
import { DIFFUSION_SAMPLING } from "./sampling.ts";
import { NoiseSchedule, type ScheduleName, SCHEDULES } from "./schedule.ts";

/** The settings of a diffusion in a configuration. */
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

/** Their schemas; the default schedule is for the kind of diffusion to say. */
export const DIFFUSION_SETTINGS: {
  readonly [Name in Exclude<keyof DiffusionSettings, "schedule">]: z.ZodType<
    DiffusionSettings[Name]
  >;
} = {
  times: z.int().min(1).default(1000).describe("T, the times of the diffusion"),
  firstBeta: beta("first"),
  lastBeta: beta("last"),
  prediction: z.enum([...PREDICTIONS]).default("epsilon")
    .describe("what the network predicts: the noise, the image or the velocity"),
  classes: z.boolean().default(false).describe("whether the network is told the classes"),
  dropClass: z.number().min(0).lt(1).default(0.1)
    .describe("the probability that it is not told an image's class, for guidance"),
  previewSteps: z.int().min(1).default(20)
    .describe("steps of the images that are shown after an epoch"),
};

/** The schema of the schedule.
 * @param published the one that the kind of diffusion was published with
 */
export function scheduleSetting(published: ScheduleName): z.ZodType<ScheduleName> {
  return z.enum([...SCHEDULES]).default(published).describe("how the noise grows");
}

/** How many classes the network is told of; none where it is told of none.
 * @throws {RangeError} it is to be told of classes, and the data set knows none
 */
export function classesOf(
  { dataset, settings }: Pick<ObjectiveNeeds<DiffusionSettings>, "dataset" | "settings">,
): number | null {
  return settings.classes ? classCount(dataset, "objective.classes") : null;
}

/** What every diffusion's objective is made of, but for its model.
 * @param parameters the denoiser's
 * @throws {RangeError} the schedule cannot be
 */
export function diffusionOptions(
  needs: ObjectiveNeeds<DiffusionSettings>,
  parameters: ReadonlyMap<string, Tensor>,
): Omit<DiffusionOptions, "model"> {
  const { dataset, settings, optimizer, steps } = needs;
  const { schedule, times, firstBeta, lastBeta, prediction, dropClass, previewSteps } = settings;
  return {
    optimizer: constructOptimizer(optimizer, parameters),
    ...{ dataset, prediction, dropClass },
    schedule: new NoiseSchedule({
      ...{ type: schedule, times },
      ...{ first: firstBeta ?? undefined, last: lastBeta ?? undefined },
    }),
    preview: { ...DIFFUSION_SAMPLING.parse({}), steps: Math.min(previewSteps, times) },
    learningRate: constructLearningRate(optimizer, steps),
    clipNorm: optimizer.clipNorm ?? undefined,
  };
}
