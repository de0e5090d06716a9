/** The VQGANs whose training steps are measured. */
import type { Config } from "../../training/config.ts";
import { resolveConfig } from "../../training/resolve.ts";

/** Batch size, image side and number of measured steps for each preset. */
export const VQGANS = {
  "vqgan-small": { batch: 16, side: 32, steps: 5 },
  "vqgan-f8": { batch: 1, side: 128, steps: 2 },
} as const;

/** Names one. */
export type VqganName = keyof typeof VQGANS;

/** The names. */
export const VQGAN_NAMES = Object.keys(VQGANS) as VqganName[];

/** What the work is called in the tables. */
export function vqganWork(name: VqganName): string {
  const { batch, side } = VQGANS[name];
  return `${name} step, ${side}x${side}, batch ${batch}`;
}

/** The preset with the settings that both sides use: vanilla quantiser, no perceptual term, discriminator from the start. */
export function configOf(preset: VqganName): Config {
  const { batch } = VQGANS[preset];
  return resolveConfig({
    flags: {
      preset,
      objective: {
        ...{ type: "adversarial", perceptual: "none" },
        ...{ discStart: 0, discWarmupSteps: 0, generatorRampSteps: 0 },
      },
      quantizer: { type: "vanilla" },
      training: { batchSize: batch },
    },
  });
}

/** The same as JSON, for the Python script. */
export function pythonPlan(preset: VqganName): string {
  const { model, objective, quantizer, optimizer } = configOf(preset);
  const { codebookSize: K, codebookDim: embed } = quantizer!;
  return JSON.stringify({
    ...VQGANS[preset],
    work: vqganWork(preset),
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
