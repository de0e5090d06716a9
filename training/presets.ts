/** Presets: named settings. Each lists only what it changes, with the reason. */
import { DIFFUSION_PRESETS } from "./diffusion_presets.ts";
import type { Settings } from "./preset.ts";

export type { Settings } from "./preset.ts";

/** The default preset. */
export const DEFAULT_PRESET = "digits";

/** A large first stage with a codebook trained by gradient and an adversarial loss: what VQGAN, LDM's first stages and
 * MoVQ have in common. Every setting can be changed: `--quantizer.type clustered` keeps K and D. The user supplies the
 * LPIPS weights: `--objective.weights`. */
function adversarial(
  batchSize: number,
  { objective, model, quantizer }: Readonly<Record<"objective" | "model" | "quantizer", Settings>>,
): Settings {
  return {
    objective: { type: "adversarial", ...objective },
    model: { type: "vqgan", ...model },
    quantizer,
    // As in taming: 4.5e-6 per image of a batch, for every network.
    optimizer: { learningRate: 4.5e-6 * batchSize, beta1: 0.5, beta2: 0.9 },
    training: { batchSize },
  };
}

/** The presets by name. */
export const PRESETS: ReadonlyMap<string, Settings> = new Map<string, Settings>([
  ["digits", {
    training: {
      batchSize: 128, // There are 9,003 images; the paper's 1,024 would leave 8 steps per epoch.
      epochs: 10, // The length of the reference implementation's curves.
    },
  }],
  ["emoji", {
    data: { name: "emoji" }, // 32×32; --data.size 64 takes four times as long.
    training: {
      batchSize: 128,
      epochs: 27, // 26 steps each: in total as many as for the digits.
    },
  }],
  ["gpt", {
    // The first stage is a run of the digits: 49 codes per image, K = 512.
    objective: { type: "autoregression", cache: "images" }, // The digits are not augmented: they are the same in every epoch.
    optimizer: {
      type: "adamw",
      learningRate: 1e-3, // For a small model; larger ones need 3e-4 or less.
      beta2: 0.95, // As in minGPT.
      schedule: "cosine",
    },
    training: {
      batchSize: 64, // 140 steps per epoch.
      epochs: 10,
    },
  }],
  ["maskgit", {
    // The first stage is a run of the digits; otherwise as gpt.
    objective: { type: "masking", cache: "images" }, // The digits are not augmented: they are the same in every epoch.
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 30 }, // A step learns only from the masked codes.
  }],
  ["rq-transformer", {
    // The first stage is a run with a residual or a product quantiser; otherwise as gpt.
    objective: { type: "residual-autoregression", cache: "images" }, // The digits are not augmented: they are the same in every epoch.
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 10 },
  }],
  ["imagebart", {
    // The first stage is a run of the digits; otherwise as gpt.
    objective: {
      type: "imagebart",
      steps: 2, // Each costs one and a half times as much as all of gpt.
      cache: "images", // The digits are not augmented: they are the same in every epoch.
    },
    model: { layers: 3 },
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 10 },
  }],
  ["var", {
    // The first stage is a run with a multi-scale quantiser; otherwise as gpt.
    objective: { type: "next-scale", cache: "images" }, // The digits are not augmented: they are the same in every epoch.
    optimizer: { type: "adamw", learningRate: 1e-3, beta2: 0.95, schedule: "cosine" },
    training: { batchSize: 64, epochs: 10 },
  }],
  ["digits-scales", {
    // A first stage for next-scale prediction: its coarse codes determine as much of an image as they can.
    model: {
      type: "vqgan",
      ch: 16,
      chMult: [1, 2, 4],
      resolution: 28,
      attnResolutions: [7], // A coarse code depends on the whole image.
      numResBlocks: 1,
      groups: 8,
    },
    quantizer: {
      type: "multi-scale",
      dropout: 0.6, // The coarse scales are also decoded on their own.
      inner: { codebookSize: 128 },
    },
    optimizer: { learningRate: 1e-3, schedule: "cosine" },
    training: { batchSize: 64, epochs: 14 },
  }],
  ["digits-reference", {
    // The settings of tests/fixtures/digits-curves.json, in full, so that a changed default does not affect them.
    seed: 42,
    data: { name: "digits" },
    model: { hidden: 128, residualHidden: 32, residualLayers: 2 },
    quantizer: {
      type: "clustered",
      codebookSize: 512,
      codebookDim: 64,
      commitmentWeight: 0.25,
      distance: "cos",
      anchor: "closest",
      decay: 0.99,
      epsilon: 1e-3,
      online: true,
      contrastive: false,
    },
    optimizer: { type: "adam", learningRate: 3e-4, schedule: "constant" },
    training: { batchSize: 128, epochs: 10 },
  }],
  [
    "vqgan-f16", // arXiv 2012.09841 on FFHQ and CelebA-HQ; the model's defaults are those of the paper.
    adversarial(12, {
      objective: { discStart: 30_001 }, // For ImageNet it is 250,001.
      model: {},
      quantizer: { type: "vanilla", codebookSize: 1024, codebookDim: 256 },
    }),
  ],
  [
    "vqgan-f8", // VQ-f8 of LDM, arXiv 2112.10752, table 8.
    adversarial(8, {
      objective: { discStart: 1, discLayers: 2, generatorWeight: 0.75 },
      model: { chMult: [1, 2, 2, 4], attnResolutions: [32] },
      quantizer: { type: "vanilla", codebookSize: 16384, codebookDim: 4 },
    }),
  ],
  [
    "vqgan-f4", // VQ-f4 of LDM, arXiv 2112.10752, table 8.
    adversarial(8, {
      objective: { generatorWeight: 0.75 },
      model: { chMult: [1, 2, 4], attnResolutions: [] },
      quantizer: { type: "vanilla", codebookSize: 8192, codebookDim: 3 },
    }),
  ],
  [
    "movq", // arXiv 2209.09002: the sizes of VQGAN, four codes per position from one codebook, modulated norms.
    adversarial(12, {
      objective: { discStart: 30_001 },
      model: { norm: "spatial" },
      quantizer: {
        type: "product",
        heads: 4,
        shared: true,
        inner: { type: "vanilla", codebookSize: 1024, codebookDim: 64 },
      },
    }),
  ],
  ["rqvae", {
    // arXiv 2203.01941 on FFHQ, 8×8 positions of four codes; its public configuration has attention at 16, not 8.
    objective: { type: "adversarial", pixelLoss: "l2", discLayers: 2, generatorWeight: 0.75 },
    model: { type: "vqgan", chMult: [1, 1, 2, 2, 4, 4] },
    quantizer: {
      type: "residual",
      depth: 4,
      shared: true,
      // Unused codes are replaced: those chosen by less than one feature per batch.
      inner: { type: "ema", codebookSize: 2048, codebookDim: 256, replaceBelow: 1 },
    },
    optimizer: { learningRate: 4e-5, beta1: 0.5, beta2: 0.9 },
    training: { batchSize: 32, epochs: 150 },
  }],
  ["vqgan-small", {
    data: { name: "emoji" },
    objective: {
      type: "adversarial",
      perceptual: "none", // LPIPS's network would cost more than this whole model.
      // Without a perceptual term, the defaults let the quantiser's losses and the discriminator outweigh the pixels: the
      // colours were wrong and the mse twice as high.
      pixelLoss: "l2",
      quantizerWeight: 0.1,
      generatorWeight: 0.25,
      discStart: 500, // Of about 1,600 steps: by then the colours of the reconstructions are right.
      discWarmupSteps: 50, // An untrained discriminator would give misleading gradients at first.
      generatorRampSteps: 200,
      discLayers: 2, // A patch of 34×34 pixels covers the whole emoji.
      discChannels: 16,
    },
    model: {
      type: "vqgan",
      ch: 16,
      chMult: [1, 2, 2],
      resolution: 32,
      attnResolutions: [8],
      numResBlocks: 1,
      groups: 8, // 32 do not divide 16 channels.
    },
    optimizer: { learningRate: 4e-4, beta1: 0.5, beta2: 0.9 }, // 4.5e-6 per image is for training runs that take weeks.
    training: { batchSize: 16, epochs: 8 },
  }],
  ...DIFFUSION_PRESETS,
]);
