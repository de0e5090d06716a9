/** The settings that all diffusions have in common, and the constructor options made from them. */
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
  /** The noise schedule. */
  readonly schedule: ScheduleName;
  /** T: the number of timesteps. */
  readonly times: number;
  /** The first β; `null` for the schedule's default. */
  readonly firstBeta: number | null;
  /** The last β; `null` for the schedule's default. */
  readonly lastBeta: number | null;
  /** What the network predicts. */
  readonly prediction: Prediction;
  /** Whether the network is conditioned on the classes. */
  readonly classes: boolean;
  /** The probability that an image's class is hidden from the network. */
  readonly dropClass: number;
  /** The number of denoising steps for the sample images after an epoch. */
  readonly previewSteps: number;
}

const beta = (which: string) =>
  z.number().gt(0).lt(1).nullable().default(null)
    .describe(`the ${which} β of linear and sqrt-linear; none: as published`);

/** The schemas of these settings, without the schedule, whose default depends on the kind of diffusion. */
export const DIFFUSION_SETTINGS: {
  readonly [Name in Exclude<keyof DiffusionSettings, "schedule">]: z.ZodType<
    DiffusionSettings[Name]
  >;
} = {
  times: z.int().min(1).default(1000).describe("T: the number of timesteps of the diffusion"),
  firstBeta: beta("first"),
  lastBeta: beta("last"),
  prediction: z.enum([...PREDICTIONS]).default("epsilon")
    .describe("what the network predicts: the noise, the image or the velocity"),
  classes: z.boolean().default(false).describe("whether the network is conditioned on the classes"),
  dropClass: z.number().min(0).lt(1).default(0.1)
    .describe(
      "the probability that an image's class is hidden from the network; classifier-free guidance needs it",
    ),
  previewSteps: z.int().min(1).default(20)
    .describe("the number of denoising steps for the sample images after an epoch"),
};

/** The schema of the schedule.
 * @param published the default: the published schedule of this kind of diffusion
 */
export function scheduleSetting(published: ScheduleName): z.ZodType<ScheduleName> {
  return z.enum([...SCHEDULES]).default(published).describe("the noise schedule");
}

/** The number of classes that the network is conditioned on; `null` without classes.
 * @throws {RangeError} the network is to be conditioned on classes, and the data set has none
 */
export function classesOf(
  { dataset, settings }: Pick<ObjectiveNeeds<DiffusionSettings>, "dataset" | "settings">,
): number | null {
  return settings.classes ? classCount(dataset, "objective.classes") : null;
}

/** The constructor options that all diffusions have in common: all but the model.
 * @param parameters the parameters of the denoiser
 * @throws {RangeError} the schedule is not valid
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
