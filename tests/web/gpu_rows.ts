/** The rows of `operation_cases.ts` that take the shaders of real GPUs. */
import type { OperationName } from "../../core/ops.ts";

/** A row or two of the kinds of shaders that are others on real GPUs. */
export const GPU_ROWS: { readonly [N in OperationName]?: readonly string[] } = {
  sum: ["wide rows", "one long line"],
  max: ["wide rows"],
  argmax: ["a long line of ties"],
  logsumexp: ["one long line"],
  softmax: ["rows", "wide rows"],
  matmul: ["batches, both transposed"],
  normalize: ["layer normalisation", "group normalisation of images"],
  normalizeGradient: ["8 groups of [3,196,64]"],
  groupNorm: ["images, SiLU"],
  groupNormGradient: ["images, SiLU"],
  attention: ["several tiles, causal", "wide heads"],
  nearest: ["odd sizes, l2, noise"],
  crossEntropy: ["many classes, smoothing 0.1"],
};
