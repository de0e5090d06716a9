/** The models that are measured beside PyTorch: what the work is called, and what PyTorch's side is told. */
import { configOf, DDIM_STEPS, type ModelName, MODELS, SAMPLED } from "../models.ts";

/** How many steps are counted; the fastest is reported. */
const RUNS: { readonly [N in ModelName]: number } = {
  "vqgan-small": 6,
  "vqgan-f8": 2,
  "gpt": 6,
  "ldm": 3,
  "ddpm": 2,
};

/** The grid and the channels that a diffusion denoises. */
const GRIDS = { "ldm": [7, 24], "ddpm": [28, 1] } as const;

/** The diffusions. */
export const DIFFUSIONS = Object.keys(GRIDS) as (keyof typeof GRIDS)[];

/** The counted steps of a model. */
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

/** What a training step is called in the tables. */
export function stepWork(name: ModelName): string {
  const { batch, image: [side] } = MODELS[name];
  return `${name} step, ${side}x${side}, batch ${batch}`;
}

/** What a step of DDIM is called in the tables. */
export function samplingWork(name: ModelName): string {
  return `${name} step of DDIM, batch ${SAMPLED}`;
}

/** A model's settings as JSON, for the script in PyTorch. */
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
