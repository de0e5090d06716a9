/** The settings of the VQGANs whose training steps are measured. */
import type { Config } from "../../training/config.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { type VqganName, VQGANS, vqganWork } from "./vqgans.ts";

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
