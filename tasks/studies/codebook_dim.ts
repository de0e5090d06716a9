/** The dimension of codes (arXiv 2307.15139, ablation b). */
import type { Study } from "../../studies/study.ts";
import { CLUSTERED } from "./clustered_axis.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** Both clustered codebooks with codes of 4 to 128 dimensions. */
export const codebookDim: Study = {
  name: "codebook-dim",
  about: "Do longer codes help? In the paper, not necessarily.",
  base: { preset: "digits", quantizer: { codebookSize: 512 } },
  axes: [CLUSTERED, { path: "quantizer.codebookDim", values: [4, 8, 16, 32, 64, 128] }],
  scales: SCALES_OF_NAMED,
};
