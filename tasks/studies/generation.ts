/** Compares generators. */
import type { Study } from "../../studies/study.ts";

/** Models that are told the digit. */
const TOLD = { objective: { conditional: true } };

/** Transformers sample one of the 25 most likely codes, which halves the FID of the masked one. */
const LIKELY = { topK: 25 };

/** All generators, told the digit, each on the first stages whose codes it takes. Diffusion in pixels has no first stage. */
export const generation: Study = {
  name: "generation",
  about: "Which generator makes the best digits, and what does it cost?",
  stage1: {
    name: "first-stages",
    about: "The first stages of the compared generators.",
    base: { preset: "digits", training: { metrics: "digit-fid" } },
    axes: [{
      name: "first stage",
      values: {
        "clustered-ema": { quantizer: { type: "clustered-ema", codebookSize: 512 } },
        "residual": {
          quantizer: {
            type: "residual",
            inner: { type: "ema", codebookSize: 512, replaceBelow: 1 },
          },
        },
        "multi-scale": { preset: "digits-scales" },
      },
    }],
    scales: {
      smoke: { settings: { training: { batchSize: 32, maxSteps: 30 } }, seeds: [42] },
      small: { seeds: [42] },
    },
  },
  base: { training: { averageDecay: 0.999 } }, // As the latent diffusion's preset has it.
  axes: [{
    name: "generator",
    values: {
      "latent diffusion": { preset: "ldm-class" },
      "transformer": { preset: "gpt", ...TOLD, sampling: LIKELY },
      "masked transformer": {
        ...{ preset: "maskgit", ...TOLD },
        sampling: { ...LIKELY, choiceTemperature: 20 }, // With less noise, the background is fixed first.
      },
      "ImageBART": { preset: "imagebart", ...TOLD, sampling: LIKELY },
      "RQ-transformer": { preset: "rq-transformer", ...TOLD, sampling: LIKELY },
      "next-scale prediction": { preset: "var", ...TOLD, sampling: LIKELY },
      "diffusion in pixels": {
        ...{ preset: "ddpm", objective: { classes: true, dropClass: 0.1 } },
        training: { epochs: 4 }, // An epoch takes as long as five of the latent diffusion.
      },
    },
  }],
  measure: [
    ...["fid", "bits", "stage1Mse", "stage1Fid"] as const,
    ...["parameters", "secondsPerSample", "trainingSeconds"] as const,
  ],
  scales: {
    smoke: {
      // Checks that everything runs; the numbers are not meaningful.
      settings: { model: { width: 32 }, training: { batchSize: 32, maxSteps: 5 } },
      samples: 64,
      seeds: [42],
    },
    small: { seeds: [42] },
  },
};
