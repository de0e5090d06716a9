/** Compares first stages for generators. */
import { SCALES_OF_NAMED } from "./scales.ts";
import type { Study } from "../../studies/study.ts";

/** Four first stages with the same latent diffusion, the same transformer and the same masked transformer, and in
 * addition a diffusion in pixels. */
export const generation: Study = {
  name: "generation",
  about:
    "Which quantiser serves generation best: whose latents and codes give the best new digits? Diffusion in pixels has none.",
  stage1: {
    name: "first-stages",
    about: "The first stages of the compared generators.",
    base: { preset: "digits", quantizer: { codebookSize: 512, codebookDim: 64 } },
    axes: [{
      name: "first stage",
      values: Object.fromEntries(
        ["vanilla", "sq", "clustered", "clustered-ema"]
          .map((type) => [type, { quantizer: { type } }]),
      ),
    }],
    scales: { ...SCALES_OF_NAMED, small: { ...SCALES_OF_NAMED.small, seeds: [42] } },
  },
  axes: [{
    name: "generator",
    values: {
      "latent diffusion": { preset: "ldm" },
      "transformer": { preset: "gpt" },
      "masked transformer": { preset: "maskgit" },
      "diffusion in pixels": { preset: "ddpm" },
    },
  }],
  measure: [
    ...["fid", "bits", "stage1Usage", "stage1Mse"] as const,
    ...["parameters", "secondsPerSample", "trainingSeconds"] as const,
  ],
  scales: {
    smoke: {
      // Checks that everything runs; the numbers are not meaningful.
      settings: { model: { width: 32 }, training: { batchSize: 32, maxSteps: 5 } },
      samples: 64,
      seeds: [42],
    },
    // The presets as they are, which take half an hour and more for each diffusion on two cores; paper has the paper's first
    // stages below.
    small: { seeds: [42] },
    paper: { seeds: [42] },
  },
};
