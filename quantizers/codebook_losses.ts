/** Computations that several quantisers share. */
import { detach, parameter } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import {
  add,
  cast,
  div,
  equal,
  maximum,
  mul,
  sqrt,
  square,
  where,
} from "../core/functions/elementwise.ts";
import { nearest } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { meanSquaredError } from "../nn/losses.ts";
import { meanOfFeatures } from "./masks.ts";

/** A codebook `[K, D]` with uniform values in (−1/K, 1/K).
 * @throws {RangeError} K or D is not a positive integer
 */
export function uniformCodebook(
  device: Device,
  size: number,
  width: number,
  key: RandomKey,
): Tensor {
  for (const [name, value] of [["size", size], ["dimension", width]] as const) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(
        `Cannot make a codebook: its ${name} must be a positive integer, got ${value}`,
      );
    }
  }
  return parameter(uniform(device, [size, width], key, -1 / size, 1 / size));
}

/** The index of each feature's nearest code: `[..., D]` → int32 `[...]`.
 * @throws {TypeError} the features' last axis is not the codebook's
 */
export function nearestCodes(features: Tensor, codebook: Tensor, distance: Distance): Tensor {
  const rows = toRows(features, codebook.shape[1], "quantize");
  return reshape(nearest(rows, codebook, { distance }), features.shape.slice(0, -1));
}

/** Scales each row to length 1; rows of zeros stay zeros. `[..., D]` → `[..., D]`. */
export function normalizeRows(x: Tensor): Tensor {
  const squared = sum(square(x), -1, { keepAxes: true });
  return div(x, sqrt(maximum(squared, 1e-24)));
}

/** The commitment term of the codebook loss (arXiv 1711.00937, equation 3): β·mean(‖sg(e) − z‖²), which moves the
 * encoder. The mean is over all elements.
 * @param features float32 `[..., D]`, zeros at the padding
 * @param codes float32 `[..., D]`, zeros at the padding
 * @param mask 0 at padding
 */
export function commitmentLoss(
  features: Tensor,
  codes: Tensor,
  commitmentWeight: number,
  mask?: Tensor,
): Tensor {
  const error = meanSquaredError(detach(codes), features);
  return mul(meanOfFeatures(error, mask), commitmentWeight);
}

/** The two terms of the codebook loss (arXiv 1711.00937, equation 3): commitment β·mean(‖sg(e) − z‖²), which moves the
 * encoder, and codebook mean(‖e − sg(z)‖²), which moves the codes. The means are over all elements.
 * @param features float32 `[..., D]`, zeros at the padding
 * @param codes float32 `[..., D]`, zeros at the padding
 * @param mask 0 at padding
 */
export function codebookLosses(
  features: Tensor,
  codes: Tensor,
  commitmentWeight: number,
  mask?: Tensor,
): { commitment: Tensor; codebook: Tensor } {
  return {
    commitment: commitmentLoss(features, codes, commitmentWeight, mask),
    codebook: meanOfFeatures(meanSquaredError(codes, detach(features)), mask),
  };
}

/** The running average of each code's share of the features (arXiv 2307.15139): N_k ← γ·N_k + (1 − γ)·n_k/N.
 * @param running float32 `[K]`
 * @param usage int32 `[K]`, this batch's counts
 * @param positions how many positions the batch has. N is this number, unless some positions are padding or not finite;
 * then N is the sum of the counts
 * @param decay γ
 */
export function runningShare(
  running: Tensor,
  usage: Tensor,
  positions: number | undefined,
  decay: number,
): Tensor {
  const counts = cast(usage, "float32");
  const total = sum(counts);
  const counted = mul(div(counts, maximum(total, 1)), 1 - decay);
  const shares = positions === undefined
    ? counted
    : where(equal(total, positions), mul(counts, (1 - decay) / positions), counted);
  return add(mul(running, decay), shares);
}
