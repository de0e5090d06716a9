/** The points of `codebooks` on colour images. */
import type { Study } from "../../studies/study.ts";
import { CODEBOOKS } from "./codebooks.ts";
import { SCALES_OF_NAMED } from "./scales.ts";

const SEEDS = [42, 43, 44, 45];

/** The emoji of two vendors, for as many steps as the digits. The settings are those chosen on the digits. */
export const codebooksColour: Study = {
  name: "codebooks-colour",
  about: "Are the codebooks that are best on digits also best in colour?",
  base: {
    preset: "emoji",
    data: { vendor: "both" },
    quantizer: { codebookSize: 512 },
    training: { epochs: 14, maxSteps: 702, metrics: "learnt-fid,ssim" },
  },
  axes: [{ name: "codebook", values: CODEBOOKS }],
  measure: ["usage", "perplexity", "mse", "psnr", "ssim", "fid", "secondsPerStep"],
  scales: {
    smoke: SCALES_OF_NAMED.smoke,
    small: { ...SCALES_OF_NAMED.small, seeds: SEEDS },
    full: { seeds: SEEDS },
  },
};
