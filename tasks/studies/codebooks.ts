/** Every method at its best known settings, at 9 bits per position. */
import type { Study } from "../../studies/study.ts";
import type { Settings } from "../../training/presets.ts";
import { FOUR_SETTINGS } from "./codebook_settings.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** The settings of each method with the lowest validation error in the study `codebook-settings`. */
const BEST: Readonly<Record<string, string>> = {
  "clustered-ema": "γ 0.95",
  "ema": "k-means, normalised, replaced, γ 0.9",
  "vanilla": "k-means, normalised, replaced",
  "clustered": "γ 0.9, normalised, distinct anchors",
  "fsq": "8, 4, 4, 4, normalised",
  "hard-features": "k-means, normalised, below 2",
  "lfq": "entropy 0.02, normalised",
  "simvq": "normalised, rotation",
  "near-codes": "k-means, normalised",
  "residual": "averages, a codebook a level",
  "product": "clustered-ema",
  "gumbel": "no KL",
  "sq": "variance 1",
  "vq-wae": "k-means, normalised",
};

/** The points to compare the best settings with: a shorter memory (γ = 0.9), other anchors, methods as published, and the
 * two EMA codebooks with equal memory. */
const BESIDE = {
  "clustered-ema: γ 0.95, anchors by error": {
    type: "clustered-ema",
    decay: 0.95,
    anchor: "error",
  },
  "clustered-ema: γ 0.9": { type: "clustered-ema", decay: 0.9 },
  "ema: k-means, normalised, replaced, γ 0.95": {
    ...{ type: "ema", initialization: "kmeans", normalization: "batch" },
    ...{ replaceBelow: 1, decay: 0.95 },
  },
  "vanilla: as published": { type: "vanilla" },
  "clustered: as published": { type: "clustered" },
};

/** The points of the study, by name. */
export const CODEBOOKS: Readonly<Record<string, Settings>> = {
  ...Object.fromEntries(
    Object.entries(BEST).map(([type, name]) => [
      `${type}: ${name}`,
      { quantizer: { type, ...FOUR_SETTINGS[type][name] } },
    ]),
  ),
  ...Object.fromEntries(Object.entries(BESIDE).map(([name, quantizer]) => [name, { quantizer }])),
};

const SEEDS = [42, 43, 44, 45];

/** The best of four settings of every method, with four seeds that were not used to choose them. */
export const codebooks: Study = {
  name: "codebooks",
  about: "Which codebook is best when every method has its best known settings?",
  base: { preset: "digits", quantizer: { codebookSize: 512, codebookDim: 64 } },
  axes: [{ name: "codebook", values: CODEBOOKS }],
  measure: ["usage", "perplexity", "mse", "psnr", "ssim", "fid", "secondsPerStep"],
  scales: {
    ...SCALES_OF_NAMED,
    small: { ...SCALES_OF_NAMED.small, seeds: SEEDS },
    full: { settings: { training: { metrics: "digit-fid,ssim" } }, seeds: SEEDS },
  },
};
