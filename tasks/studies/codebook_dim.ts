/** How long codes are (METHOD section 5, ablation b). */
import type { Study } from "../../training/study/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** The clustered codebook with codes of 4 to 128 dimensions. */
export const codebookDim: Study = {
  name: "codebook-dim",
  about: "Do longer codes help? In the paper not surely.",
  base: { preset: "digits", quantizer: { type: "clustered", codebookSize: 512 } },
  axes: [{ path: "quantizer.codebookDim", values: [4, 8, 16, 32, 64, 128] }],
  scales: SCALES_OF_NAMED,
};
