/** The same generators over different codebooks. */
import type { Study } from "../../studies/study.ts";
import { CODEBOOKS } from "./codebooks.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** Points of the study `codebooks`. */
const TAKEN: readonly string[] = [
  "vanilla: as published",
  "clustered: as published",
  "clustered-ema: γ 0.9",
  "clustered-ema: γ 0.95",
  "ema: k-means, normalised, replaced, γ 0.95",
  "fsq: 8, 4, 4, 4, normalised",
  "residual: averages, a codebook a level",
];

/** The same transformer and the same latent diffusion on ten first stages: codebooks that collapse, full ones, one
 * whose decoder learned from perturbed codes, and a small full one whose reconstructions are about as bad as those of a
 * collapsed one. `residual` has three codes per position, which the RQ-transformer generates instead. Diffusion in pixels
 * has no first stage. */
export const codesForGeneration: Study = {
  name: "codes-for-generation",
  about: "Does a codebook that uses more of its codes make better generated images?",
  stage1: {
    name: "codes",
    about: "The first stages that generators are compared on.",
    base: {
      preset: "digits",
      quantizer: { codebookSize: 512, codebookDim: 64 },
      training: { metrics: "digit-fid" },
    },
    axes: [{
      name: "codebook",
      values: {
        ...Object.fromEntries(TAKEN.map((name) => [name, CODEBOOKS[name]])),
        "clustered-ema: γ 0.95, perturbed": {
          quantizer: {
            type: "clustered-ema",
            decay: 0.95,
            perturbation: 0.6,
            perturbationReach: 64,
          },
        },
        "sq": { quantizer: { type: "sq" } },
        "clustered-ema: 16 codes": {
          quantizer: { type: "clustered-ema", codebookSize: 16, decay: 0.9 },
        },
      },
    }],
    scales: SCALES_OF_NAMED,
  },
  axes: [{
    name: "generator",
    values: {
      "transformer": { preset: "gpt", training: { epochs: 3 } },
      "RQ-transformer": { preset: "rq-transformer", training: { epochs: 3 } },
      "latent diffusion": { preset: "ldm", training: { epochs: 4 } },
      "diffusion in pixels": { preset: "ddpm", training: { epochs: 4 } },
    },
  }],
  measure: ["fid", "bits", "stage1Usage", "stage1Mse", "stage1Fid", "trainingSeconds"],
  scales: {
    smoke: {
      // Checks that everything runs; the numbers are not meaningful.
      settings: { model: { width: 32 }, training: { batchSize: 32, maxSteps: 5 } },
      samples: 64,
      seeds: [42],
    },
    small: { seeds: [42, 43] },
    paper: { seeds: [42] },
  },
};
