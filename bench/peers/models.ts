/** The models that are compared with PyTorch: their names in the tables, and the settings for PyTorch's side. */
import { configOf, DDIM_STEPS, type ModelName, MODELS, SAMPLED } from "../models.ts";

/** The number of measured steps, of which the fastest is reported. */
const RUNS: { readonly [N in ModelName]: number } = {
  "vqgan-small": 6,
  "vqgan-f8": 2,
  "gpt": 6,
  "ldm": 3,
  "ddpm": 2,
};

/** The side and the channels of the grid that a diffusion denoises. */
const GRIDS = { "ldm": [7, 24], "ddpm": [28, 1] } as const;

/** The diffusions. */
export const DIFFUSIONS = Object.keys(GRIDS) as (keyof typeof GRIDS)[];

/** The number of measured steps of a model. */
export function runsOf(name: ModelName): number {
  return RUNS[name];
}

/** Whether a model is a diffusion. */
export function isDiffusion(name: ModelName): name is keyof typeof GRIDS {
  return name in GRIDS;
}

/** The side of the grid that a diffusion denoises. */
export function sideOf(name: keyof typeof GRIDS): number {
  return GRIDS[name][0];
}

/** The name of a training step in the tables. */
export function stepWork(name: ModelName): string {
  const { batch, image: [side] } = MODELS[name];
  return `${name} step, ${side}x${side}, batch ${batch}`;
}

/** The name of a step of DDIM in the tables. */
export function samplingWork(name: ModelName): string {
  return `${name} step of DDIM, batch ${SAMPLED}`;
}

/** A model's settings as JSON, for the PyTorch script. */
export function pythonPlan(name: ModelName): string {
  const { batch, image: [side] } = MODELS[name];
  const { model, objective, quantizer, optimizer } = configOf(name);
  const common = { work: stepWork(name), batch, side, runs: RUNS[name], channels: 3 };
  if (isDiffusion(name)) {
    const [side, channels] = GRIDS[name], { type: _, ...settings } = model;
    const sampling = { work: samplingWork(name), batch: SAMPLED, steps: DDIM_STEPS };
    return JSON.stringify({ ...common, side, channels, sampling, model: settings });
  }
  if (name === "gpt") {
    const { width, heads, layers, dropout } = model;
    const grid = (side / 4) ** 2;
    const own = { codes: 512, length: grid, width, heads, layers, dropout };
    return JSON.stringify({ ...common, model: own });
  }
  const { codebookSize: K, codebookDim: embed } = quantizer!;
  return JSON.stringify({
    ...common,
    learningRate: optimizer.learningRate,
    discChannels: objective.discChannels,
    discLayers: objective.discLayers,
    model: {
      ...{ ch: model.ch, chMult: model.chMult, blocks: model.numResBlocks, groups: model.groups },
      ...{ resolution: model.resolution, attn: model.attnResolutions },
      ...{ z: model.zChannels ?? embed, K, embed },
    },
  });
}
