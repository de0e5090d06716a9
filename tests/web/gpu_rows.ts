/** The rows of `operation_cases.ts` that take the shaders of real GPUs. */
import type { OperationName } from "../../core/ops.ts";

type Rows = { readonly [N in OperationName]?: readonly string[] };

/** Rows whose shaders fold the values of a workgroup's threads. */
export const FOLDING_ROWS: Rows = {
  sum: ["wide rows", "one long line"],
  max: ["wide rows"],
  argmax: ["a long line of ties"],
  logsumexp: ["one long line"],
  softmax: ["wide rows"],
  normalize: ["layer normalisation"],
  normalizeGradient: ["1 groups of [33,1,17]"],
  groupNorm: ["long rows, SiLU"],
  groupNormGradient: ["long rows, SiLU"],
  attention: ["more keys than queries"],
  crossEntropy: ["many classes, smoothing 0.1"],
};

/** A row of the other kinds of shaders that are others on real GPUs. */
export const OTHER_ROWS: Rows = {
  matmul: ["batches, both transposed"],
  nearest: ["odd sizes, l2, noise"],
};
