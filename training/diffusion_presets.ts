/** Diffusion presets: small ones for the digits, and published ones with the settings of their papers and code (arXiv
 * 2112.10752, 2006.11239). */
import type { Settings } from "./preset.ts";

/** Diffusion over the latents of the digits; one minute per epoch on two cores. */
const SMALL = {
  data: { name: "digits" },
  objective: {
    type: "latent-diffusion",
    components: 24, // Of 64: 83 % of the codes stay, and FID in digit features of reconstructions goes from 1.95 to 2.29.
    scaling: "one", // Components with small variance get a small weight.
    schedule: "cosine", // After 100 steps FID in digit features is 137; with sqrt-linear 170.
    prediction: "v", // The same after 100 steps with epsilon: 290.
    cache: "images", // 9,003 grids of 7×7×64 are 113 MB.
  },
  model: {
    width: 64,
    multipliers: [1, 2],
    residualBlocks: 1,
    attentionAt: [2], // At 4×4 and in the middle: at 7×7 it would cost a quarter of a step.
    groups: 16, // 4 channels per group: such norms take half the time of those with 2.
  },
  optimizer: {
    type: "adamw",
    learningRate: 1e-3,
    weightDecay: 0.01,
    schedule: "cosine", // Lets the model settle at the end of the run.
    warmupSteps: 100,
    clipNorm: 1,
  },
  training: { batchSize: 128, epochs: 30, averageDecay: 0.999 },
} as const;

const EMA = 0.9999;

/** The settings that the published runs of latent diffusion have in common. */
const LATENT = { type: "latent-diffusion", schedule: "sqrt-linear", scaling: "one" } as const;

/** The presets by name. */
export const DIFFUSION_PRESETS: readonly (readonly [name: string, settings: Settings])[] = [
  ["ldm", SMALL],
  ["ldm-class", { ...SMALL, objective: { ...SMALL.objective, classes: true, dropClass: 0.1 } }],
  ["ldm-emoji", { ...SMALL, data: { name: "emoji" } }], // For a first stage of the preset emoji: latents of 8×8.
  ["ddpm", {
    ...SMALL,
    objective: { type: "diffusion", schedule: "cosine", prediction: "v" },
    model: {
      width: 32, // A pixel costs as much as a latent position, and there are 16 times as many.
      multipliers: [1, 2, 2],
      residualBlocks: 1,
      attentionAt: [4],
      groups: 8, // 4 channels per group.
    },
  }],
  ["ldm-ffhq", {
    data: { name: "ffhq", size: 256 },
    objective: LATENT,
    model: { width: 224, multipliers: [1, 2, 3, 4], residualBlocks: 2, attentionAt: [2, 4, 8] },
    optimizer: { type: "adamw", learningRate: 8.4e-5 }, // 2e-6 per image of a batch.
    training: { batchSize: 42, averageDecay: EMA },
  }],
  ["ldm-bedrooms", {
    data: { name: "lsun", category: "bedroom", size: 256 },
    objective: LATENT,
    model: { width: 224, multipliers: [1, 2, 3, 4], residualBlocks: 2, attentionAt: [2, 4, 8] },
    optimizer: { type: "adamw", learningRate: 9.6e-5 }, // 2e-6 per image of a batch.
    training: { batchSize: 48, averageDecay: EMA },
  }],
  ["ldm-churches", {
    data: { name: "lsun", category: "church_outdoor", size: 256 },
    objective: { ...LATENT, lastBeta: 0.0155 },
    model: {
      ...{ width: 192, multipliers: [1, 2, 2, 4, 4], residualBlocks: 2 },
      ...{ attentionAt: [1, 2, 4, 8], headChannels: null, heads: 8 },
      ...{ scaleShift: true, resample: "residual" },
    },
    optimizer: { type: "adamw", learningRate: 5e-5 },
    training: { batchSize: 96, averageDecay: EMA },
  }],
  ["ldm-imagenet", {
    data: { name: "imagenet", size: 256 },
    objective: { ...LATENT, classes: true, dropClass: 0.1 },
    model: {
      ...{ width: 256, multipliers: [1, 2, 4], residualBlocks: 2, attentionAt: [1, 2, 4] },
      ...{ conditioning: "cross-attention", contextWidth: 512 },
    },
    optimizer: { type: "adamw", learningRate: 4.8e-5 }, // 1e-6 per image of a batch.
    training: { batchSize: 48, averageDecay: EMA },
  }],
  ["ddpm-256", {
    data: { name: "lsun", category: "church_outdoor", size: 256 },
    objective: { type: "diffusion", schedule: "linear" },
    model: {
      ...{ width: 128, multipliers: [1, 1, 2, 2, 4, 4], residualBlocks: 2 },
      ...{ attentionAt: [16], headChannels: null, heads: 1 }, // At 16².
    },
    optimizer: { learningRate: 2e-5 },
    training: { batchSize: 64, averageDecay: EMA },
  }],
  ["ddpm-cifar10", {
    data: { name: "cifar10" },
    objective: { type: "diffusion", schedule: "linear" },
    model: {
      ...{ width: 128, multipliers: [1, 2, 2, 2], residualBlocks: 2, dropout: 0.1 },
      ...{ attentionAt: [2], headChannels: null, heads: 1 }, // At 16².
    },
    optimizer: { learningRate: 2e-4, warmupSteps: 5000, clipNorm: 1 },
    training: { batchSize: 128, averageDecay: EMA },
  }],
];
