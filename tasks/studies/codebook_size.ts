/** The number of codes (arXiv 2307.15139, ablation a). */
import type { Study } from "../../studies/study.ts";
import { CLUSTERED } from "./clustered_axis.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** Both clustered codebooks with 32 to 1,024 codes. */
export const codebookSize: Study = {
  name: "codebook-size",
  about: "Does a larger clustered codebook help? In the paper, it does.",
  base: { preset: "digits" },
  axes: [CLUSTERED, { path: "quantizer.codebookSize", values: [32, 64, 128, 256, 512, 1024] }],
  scales: SCALES_OF_NAMED,
};
