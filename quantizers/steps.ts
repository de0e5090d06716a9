/** The steps that quantisers share. */
import { detach, parameter } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { add, cast, mul } from "../core/functions/elementwise.ts";
import { nearest } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { meanSquaredError } from "../nn/losses.ts";

/** A codebook `[K, D]` with uniform values in (−1/K, 1/K) (METHOD 2).
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

/** The two terms of the codebook loss (METHOD 2): commitment β·mean(‖sg(e) − z‖²), which moves the encoder, and
 * codebook mean(‖e − sg(z)‖²), which moves the codes; means over all elements.
 */
export function codebookLosses(
  features: Tensor,
  codes: Tensor,
  commitmentWeight: number,
): { commitment: Tensor; codebook: Tensor } {
  return {
    commitment: mul(meanSquaredError(detach(codes), features), commitmentWeight),
    codebook: meanSquaredError(codes, detach(features)),
  };
}

/** The running average of each code's share of the features (METHOD 3): N_k ← γ·N_k + (1 − γ)·n_k/N.
 * @param running float32 `[K]`
 * @param usage int32 `[K]`, this batch's counts
 * @param features N, how many features they count
 * @param decay γ
 */
export function runningShare(
  running: Tensor,
  usage: Tensor,
  features: number,
  decay: number,
): Tensor {
  return add(mul(running, decay), mul(cast(usage, "float32"), (1 - decay) / features));
}
