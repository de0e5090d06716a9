/** The changes that keep all codes of a clustered codebook in use, one by one. */
import type { Settings } from "../../training/presets.ts";
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** The paper's own clustered codebook, with additional settings. */
const clustered = (settings: Settings = {}) => ({ quantizer: { type: "clustered", ...settings } });

/** The clustered EMA codebook, with additional settings. */
const averages = (settings: Settings = {}) => ({
  quantizer: {
    type: "clustered-ema",
    decay: 0.99,
    normalization: "none",
    initialization: "uniform",
    anchor: "closest",
    ...settings,
  },
});

/** Every change alone, then the EMA codebook with more and more changes, up to the default. */
export const fullUsage: Study = {
  name: "full-usage",
  about: "Which changes keep all codes in use, alone and together?",
  base: { preset: "digits", quantizer: { codebookSize: 512, codebookDim: 64 } },
  axes: [{
    name: "codebook",
    values: {
      "the paper's": clustered(),
      "k-means start": clustered({ initialization: "kmeans" }),
      "k-means++ start": clustered({ initialization: "kmeans++" }),
      "moments forgotten": clustered({ resetMoments: true }),
      "distinct anchors": clustered({ anchor: "distinct" }),
      "shorter memory": clustered({ decay: 0.9 }),
      "warm-up": clustered({ warmupSteps: 200 }),
      "unit length": clustered({ unitLength: true }),
      "deviation": clustered({ normalization: "deviation", distance: "l2" }),
      "batch": clustered({ normalization: "batch", distance: "l2" }),
      "all of these": clustered({
        ...{ initialization: "kmeans", normalization: "batch", distance: "l2" },
        ...{ resetMoments: true, anchor: "distinct", decay: 0.9 },
      }),
      "averages": averages(),
      "averages, batch": averages({ normalization: "batch" }),
      "averages, batch, k-means": averages({ normalization: "batch", initialization: "kmeans" }),
      "averages, batch, k-means++": averages({
        normalization: "batch",
        initialization: "kmeans++",
      }),
      "averages, batch, shorter memory": averages({ normalization: "batch", decay: 0.9 }),
      "averages, batch, k-means, shorter memory": averages({
        ...{ normalization: "batch", initialization: "kmeans", decay: 0.9 },
      }),
      "the default": { quantizer: { type: "clustered-ema" } },
    },
  }],
  scales: SCALES_OF_NAMED,
};
