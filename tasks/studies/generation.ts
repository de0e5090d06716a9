/** Compares generators. */
import { SCALES_OF_NAMED } from "./scales.ts";
import type { Study } from "../../studies/study.ts";

/** All generators, each on the first stages whose codes it takes. Diffusion in pixels has no first stage. */
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
        "multi-scale": {
          quantizer: { type: "multi-scale", inner: { type: "clustered-ema", codebookSize: 512 } },
        },
      },
    }],
    scales: { smoke: SCALES_OF_NAMED.smoke, small: { seeds: [42] } },
  },
  axes: [{
    name: "generator",
    values: {
      "latent diffusion": { preset: "ldm" },
      "transformer": { preset: "gpt" },
      "masked transformer": { preset: "maskgit" },
      "ImageBART": { preset: "imagebart" },
      "RQ-transformer": { preset: "rq-transformer" },
      "next-scale prediction": { preset: "var" },
      "diffusion in pixels": { preset: "ddpm" },
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
    // The presets as they are.
    small: { seeds: [42] },
  },
};
