/** Four settings of each method at 9 bits per position, from which the study `codebooks` chooses. */
import type { Settings } from "../../training/presets.ts";
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** A codebook initialised by k-means on the first batch. */
const KMEANS: Settings = { initialization: "kmeans" };

/** The same, with features normalised over the batch. */
const NORMALISED: Settings = { ...KMEANS, normalization: "batch" };

/** The same, and codes chosen by less than one feature per batch are replaced by a feature. */
const REPLACED: Settings = { ...NORMALISED, replaceBelow: 1 };

/** Three codes per position from EMA codebooks with K = 8 each. */
const OF_EIGHT: Settings = { type: "ema", codebookSize: 8, initialization: "kmeans" };

/** Four named settings of every method: its authors' own, and ones that users found to work better. */
export const FOUR_SETTINGS: Readonly<Record<string, Readonly<Record<string, Settings>>>> = {
  "vanilla": {
    "k-means": KMEANS,
    "k-means, normalised": NORMALISED,
    "k-means, normalised, replaced": REPLACED,
    // ViT-VQGAN, arXiv 2110.04627; its 32 dimensions do as well as 8.
    "unit length in 8 dimensions": { ...KMEANS, unitLength: true, lookupDim: 8 },
  },
  "clustered": {
    "the paper's": {},
    "γ 0.9": { decay: 0.9 },
    "γ 0.9, normalised": { ...NORMALISED, distance: "l2", decay: 0.9 },
    "γ 0.9, normalised, distinct anchors": {
      ...{ ...NORMALISED, distance: "l2", decay: 0.9 },
      ...{ anchor: "distinct", resetMoments: true },
    },
  },
  "clustered-ema": {
    "γ 0.9": { decay: 0.9 },
    "γ 0.8": { decay: 0.8 },
    "γ 0.95": { decay: 0.95 },
    "distinct anchors": { anchor: "distinct", decay: 0.9 },
  },
  "ema": {
    "k-means, replaced": { ...KMEANS, replaceBelow: 1 },
    "k-means, replaced below 2, γ 0.8": { ...KMEANS, replaceBelow: 2, decay: 0.8 },
    "k-means, normalised, replaced, γ 0.9": { ...REPLACED, decay: 0.9 },
    "k-means, normalised, replaced, γ 0.8": { ...REPLACED, decay: 0.8 },
  },
  "near-codes": {
    "the paper's": {},
    "k-means": KMEANS,
    "k-means, normalised": NORMALISED,
    "k-means, normalised, rarely used below 0.3": { ...NORMALISED, resetBelow: 0.3 },
  },
  "hard-features": {
    "Jukebox's": {},
    "k-means": KMEANS,
    "k-means, normalised": NORMALISED,
    "k-means, normalised, below 2": { ...NORMALISED, replaceBelow: 2 },
  },
  "simvq": {
    "the paper's": {},
    "normalised": { normalization: "batch" },
    "rotation": { gradient: "rotation" },
    "normalised, rotation": { normalization: "batch", gradient: "rotation" },
  },
  "fsq": {
    "8, 8, 8": { levels: [8, 8, 8] },
    "8, 8, 8, normalised": { levels: [8, 8, 8], normalization: "batch" },
    "8, 4, 4, 4": { levels: [8, 4, 4, 4] },
    "8, 4, 4, 4, normalised": { levels: [8, 4, 4, 4], normalization: "batch" },
  },
  "lfq": {
    "the default": { bits: 9 },
    "normalised": { bits: 9, normalization: "batch" },
    "entropy 0.02": { bits: 9, entropyWeight: 0.02 },
    "entropy 0.02, normalised": { bits: 9, entropyWeight: 0.02, normalization: "batch" },
  },
  "gumbel": {
    "the default": {},
    "normalised": { normalization: "batch" },
    "no KL": { klWeight: 0 },
    "normalised, no KL": { normalization: "batch", klWeight: 0 },
  },
  "sq": {
    "the paper's": {},
    "variance 1": { initialVariance: 1 },
    "faster cooling": { temperatureDecay: 1e-3 },
    "variance 1, normalised": { initialVariance: 1, normalization: "batch" },
  },
  "vq-wae": {
    "the paper's": {},
    "k-means": KMEANS,
    "normalised": { normalization: "batch" },
    "k-means, normalised": NORMALISED,
  },
  "residual": {
    "averages": { depth: 3, inner: OF_EIGHT },
    "averages, γ 0.9": { depth: 3, inner: { ...OF_EIGHT, decay: 0.9 } },
    "averages, a codebook a level": { depth: 3, shared: false, inner: OF_EIGHT },
    "clustered-ema": { depth: 3, inner: { type: "clustered-ema", codebookSize: 8 } },
  },
  "product": {
    "averages": { heads: 3, inner: { ...OF_EIGHT, codebookDim: 21 } },
    "averages, γ 0.9": { heads: 3, inner: { ...OF_EIGHT, codebookDim: 21, decay: 0.9 } },
    "averages, shared": { heads: 3, shared: true, inner: { ...OF_EIGHT, codebookDim: 21 } },
    "clustered-ema": {
      heads: 3,
      inner: { type: "clustered-ema", codebookSize: 8, codebookDim: 21 },
    },
  },
};

/** Each setting once, evaluated on held-out training images. */
export const codebookSettings: Study = {
  name: "codebook-settings",
  about: "Which of four settings is best for each method?",
  base: {
    preset: "digits",
    quantizer: { codebookSize: 512, codebookDim: 64 },
    training: { validation: 0.1 },
  },
  axes: [{
    name: "codebook",
    values: Object.fromEntries(
      Object.entries(FOUR_SETTINGS).flatMap(([type, settings]) =>
        Object.entries(settings).map(([name, quantizer]) => [`${type}: ${name}`, {
          quantizer: { type, ...quantizer },
        }])
      ),
    ),
  }],
  measure: ["usage", "perplexity", "mse", "secondsPerStep"],
  scales: { ...SCALES_OF_NAMED, small: { ...SCALES_OF_NAMED.small, seeds: [41] } },
};
