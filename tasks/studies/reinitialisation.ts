/** The re-initialisation of dead codes (arXiv 2307.15139, ablation d). */
import type { Study } from "../../studies/study.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

/** All use the lookup of the clustered codebook, so that they differ only in re-initialisation. */
const method = (type: string) => ({ quantizer: { type, distance: "cos" } });

/** No re-initialisation, the two methods with single anchors, and the running average of the clustered codebook. */
export const reinitialisation: Study = {
  name: "reinitialisation",
  about: "Which re-initialisation of dead codes works best? In the paper, the running average.",
  base: { preset: "digits", quantizer: { codebookSize: 512, codebookDim: 64 } },
  axes: [{
    name: "re-initialisation",
    values: {
      "none": method("vanilla"),
      "near code vectors": method("near-codes"),
      "hard encoded features": method("hard-features"),
      "running average": method("clustered"),
    },
  }],
  scales: SCALES_OF_NAMED,
};
