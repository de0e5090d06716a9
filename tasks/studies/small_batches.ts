/** Rules for dead codes where a batch has few features for each code. */
import type { Settings } from "../../training/presets.ts";
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** An EMA codebook that differs from the default only in its rule for dead codes. */
const averages = (settings: Settings = {}) => ({
  quantizer: {
    ...{ type: "ema", initialization: "kmeans", normalization: "batch", decay: 0.95 },
    ...settings,
  },
});

/** Batches of 16 digits, which have 784 features: 1.5 or 0.2 for each code. */
export const smallBatches: Study = {
  name: "small-batches",
  about: "Which rule for dead codes works with few features for each code?",
  base: {
    preset: "digits",
    quantizer: { codebookDim: 64 },
    training: { batchSize: 16, epochs: 3 },
  },
  axes: [
    {
      name: "codes",
      values: {
        "512": { quantizer: { codebookSize: 512 } },
        "4096": { quantizer: { codebookSize: 4096 } },
      },
    },
    {
      name: "rule",
      values: {
        "none": averages(),
        "replaced below 1": averages({ replaceBelow: 1 }),
        "replaced below 0.05": averages({ replaceBelow: 0.05 }),
        "clustered": { quantizer: { type: "clustered-ema", decay: 0.95 } },
        "clustered, by error": {
          quantizer: { type: "clustered-ema", decay: 0.95, anchor: "error" },
        },
      },
    },
  ],
  measure: ["usage", "perplexity", "mse", "secondsPerStep"],
  scales: {
    smoke: {
      settings: { model: { hidden: 32, residualHidden: 16 }, training: { maxSteps: 30 } },
      seeds: [42],
    },
    small: { ...SCALES_OF_NAMED.small, seeds: [42, 43, 44, 45] },
  },
};
