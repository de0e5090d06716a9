/** The sampling of anchors (arXiv 2307.15139, ablation c). */
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** The three ways to sample anchors, at every step and once only. */
export const anchorSampling: Study = {
  name: "anchor-sampling",
  about: "Does it matter how anchors are sampled? In the paper it does offline, but hardly online.",
  base: {
    preset: "digits",
    quantizer: { type: "clustered", codebookSize: 512, codebookDim: 64 },
  },
  axes: [
    { path: "quantizer.online", values: [true, false] },
    { path: "quantizer.anchor", values: ["closest", "random", "probrandom"] },
  ],
  scales: SCALES_OF_NAMED,
};
