/** Every method, at the same rate. */
import { QUANTIZER_TYPES } from "../../quantizers/registry.ts";
import type { Settings } from "../../training/presets.ts";
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** Three codes with K = 8 have the same rate as one with K = 512. The inner method is that of RQ-VAE for both, so that
 * they differ only in their structure. */
const INNER: Settings = { type: "ema", codebookSize: 8, replaceBelow: 1 };

/** Settings for methods whose codebook is not simply K codes of D dimensions, to give 512 codes, or three with K =
 * 8. */
const SAME_RATE: Readonly<Record<string, Settings>> = {
  fsq: { levels: [8, 8, 8] },
  lfq: { bits: 9 },
  residual: { depth: 3, inner: INNER },
  "multi-scale": { inner: { ...INNER, codebookSize: 19 } }, // 104 codes of 19 take 1/5 % more bits than 49 of 512.
  product: { heads: 3, inner: { ...INNER, codebookDim: 21 } }, // 3 · 21 channels, one less than the others' 64.
};

/** Every registered method with its own defaults: the same images in the same order, the same number of steps, and 9
 * bits per position. */
export const quantizers: Study = {
  name: "quantizers",
  about:
    "Which method reconstructs images best at 9 bits per position, and how much of its codebook does it use?",
  base: { preset: "digits", quantizer: { codebookSize: 512, codebookDim: 64 } },
  axes: [{
    name: "quantizer",
    values: Object.fromEntries(
      QUANTIZER_TYPES.map((type) => [type, { quantizer: { type, ...SAME_RATE[type] } }]),
    ),
  }],
  // Small is the preset as it is.
  scales: { ...SCALES_OF_NAMED, small: { seeds: [42, 43] } },
};
