/** First stages for colour images: the small VQ-VAE and a small VQGAN with several quantisers. */
import type { Settings } from "../../training/presets.ts";
import type { Study } from "../../studies/study.ts";

/** A VQGAN with a quantiser. */
const vqgan = (type: string, settings: Settings = {}) => ({ quantizer: { type, ...settings } });

/** All have 64 codes of 9 bits per image. */
export const firstStages: Study = {
  name: "first-stages",
  about: "What does a discriminator change at 9 bits per position, and does the quantiser matter?",
  base: {
    preset: "vqgan-small",
    quantizer: { codebookSize: 512, codebookDim: 64 },
    training: { metrics: "sharpness,learnt-fid" },
  },
  axes: [{
    name: "first stage",
    values: {
      "VQ-VAE": {
        objective: { type: "reconstruction" },
        model: { type: "vqvae" },
        optimizer: { learningRate: 3e-4, beta1: 0.9, beta2: 0.999 }, // As the preset emoji.
      },
      "VQGAN, clustered-ema": vqgan("clustered-ema"),
      "VQGAN, clustered": vqgan("clustered"),
      "VQGAN, vanilla": vqgan("vanilla"),
      "VQGAN, fsq": vqgan("fsq", { levels: [8, 8, 8] }),
      "VQGAN, residual": vqgan("residual", {
        depth: 3,
        inner: { type: "ema", codebookSize: 8, replaceBelow: 1 }, // As RQ-VAE's.
      }),
    },
  }],
  measure: ["usage", "perplexity", "mse", "psnr", "sharpness", "fid", "secondsPerStep"],
  scales: {
    smoke: {
      // Shows that everything runs, including the discriminator, in two minutes on two cores. The numbers mean nothing.
      settings: {
        training: { maxSteps: 20 },
        objective: { discStart: 5, discWarmupSteps: 5, generatorRampSteps: 5 },
      },
      seeds: [42],
    },
    // The preset unchanged: about a quarter of an hour on two cores.
    small: { seeds: [42] },
  },
};
