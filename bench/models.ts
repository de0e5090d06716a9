/** Training steps and sampling of whole models: presets on synthetic images, with an untrained first stage. */
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { memoryDataset } from "../data/memory.ts";
import { FirstStage } from "../models/first_stage.ts";
import { DiffusionObjective } from "../objectives/diffusion.ts";
import { NoiseSchedule } from "../objectives/diffusion/schedule.ts";
import type { Objective } from "../objectives/objective.ts";
import { DdimSampler } from "../objectives/samplers/ddim.ts";
import { sample } from "../objectives/samplers/sample.ts";
import type { Config } from "../training/config.ts";
import { constructModel, constructObjective } from "../training/construct.ts";
import { type PartialConfig, resolveConfig } from "../training/resolve.ts";

/** The presets to measure, with their batch size and image shape. */
export const MODELS = {
  "vqgan-small": { batch: 16, image: [32, 32, 3] },
  "vqgan-f8": { batch: 1, image: [128, 128, 3] },
  "gpt": { batch: 64, image: [28, 28, 1] },
  "ldm": { batch: 128, image: [28, 28, 1] },
  "ddpm": { batch: 128, image: [28, 28, 1] },
} as const;

/** The name of such a preset. */
export type ModelName = keyof typeof MODELS;

/** All names. */
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

/** The number of images sampled at once. */
export const SAMPLED = 64;
/** The number of diffusion steps measured together. */
export const DDIM_STEPS = 4;

/** Presets that need a first stage. */
const OVER_STAGE1: readonly ModelName[] = ["gpt", "ldm"];

/** A first stage with an adversarial loss uses its discriminator from the first step, a plain quantiser and no perceptual
 * term. */
function changesOf(name: ModelName): PartialConfig {
  if (OVER_STAGE1.includes(name)) return { stage1: "untrained" };
  if (!name.startsWith("vqgan")) return {};
  return {
    objective: {
      ...{ type: "adversarial", perceptual: "none" },
      ...{ discStart: 0, discWarmupSteps: 0, generatorRampSteps: 0 },
    },
    quantizer: { type: "vanilla" },
  };
}

/** The configuration of a preset to measure. */
export function configOf(name: ModelName): Config {
  const training: PartialConfig["training"] = { batchSize: MODELS[name].batch };
  return resolveConfig({ flags: { preset: name, ...changesOf(name), training } });
}

/** A model to measure. */
export interface MeasuredModel {
  /** Runs a training step. */
  readonly step: () => void;
  /** The objective that it trains. */
  readonly objective: Objective;
}

/** Creates the model of a preset with its images. The first stage's encodings of the images are cached, so that a step
 * does not compute them. */
export async function makeModel(device: Device, name: ModelName): Promise<MeasuredModel> {
  const { batch, image } = MODELS[name];
  const values = Float32Array.from(
    { length: batch * sizeOf(image) },
    (_, at) => (at * 0.618) % 2 - 1,
  );
  const dataset = memoryDataset({ name: "noise", imageShape: image, train: values, test: values });
  const config = configOf(name), key = randomKey(1, "bench");
  const below = resolveConfig({ flags: { preset: "digits" } });
  const stage1 = OVER_STAGE1.includes(name)
    ? new FirstStage(constructModel(below, device, dataset), key)
    : undefined;
  const objective = await constructObjective(config, device, dataset, stage1);
  await objective.prepare?.(device);
  const images = device.tensor(values, [batch, ...image]);
  const indices = Int32Array.from({ length: batch }, (_, index) => index);
  let step = 0;
  return {
    objective,
    step: () => {
      const context = { training: true, key: randomKey(1, "step", step), step: step++ };
      objective.step({ images, indices }, context);
    },
  };
}

/** Runs steps of DDIM with the network of a diffusion, starting from noise.
 * @param side the side of the grid that it denoises
 * @throws {TypeError} the objective is not a diffusion
 */
export async function sampleByDdim(
  device: Device,
  objective: Objective,
  side: number,
): Promise<void> {
  if (!(objective instanceof DiffusionObjective)) {
    throw new TypeError("Cannot sample by DDIM: the objective must be a diffusion, got another");
  }
  const { denoiser } = objective.model, context = { training: false, key: randomKey(1, "bench") };
  using _scope = device.scope();
  await sample(device, {
    ...{ first: 0, count: SAMPLED, shape: [side, side, denoiser.channels] },
    ...{ key: randomKey(1, "noise"), steps: DDIM_STEPS, prediction: "v" },
    schedule: new NoiseSchedule({ type: "cosine", times: 1000 }),
    sampler: new DdimSampler(0),
    predict: (x, time) => denoiser.forward(x, new Array<number>(SAMPLED).fill(time), context),
  });
}
