/** Losses. Each is a scalar, the mean over all elements, unless stated otherwise. */
import { apply } from "../core/execute.ts";
import {
  abs,
  cast,
  div,
  greaterEqual,
  maximum,
  square,
  sub,
} from "../core/functions/elementwise.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** mean((a − b)²) over all elements. */
export function meanSquaredError(a: Tensor, b: Tensor): Tensor {
  return mean(square(sub(a, b)));
}

/** mean(|a − b|) over all elements. */
export function meanAbsoluteError(a: Tensor, b: Tensor): Tensor {
  return mean(abs(sub(a, b)));
}

/** Options of the cross-entropy. */
export interface CrossEntropyOptions {
  /** Label smoothing (arXiv 1512.00567) in [0, 1], by default 0: this fraction of each target is spread evenly over all
   * classes. */
  readonly smoothing?: number;
}

/** −ln softmax(logits)[target] for each row; 0 if the target is negative.
 *
 * Neither the loss nor its gradient needs more memory than the logits. The gradient is softmax(logits) − target.
 *
 * ```ts
 * import { crossEntropyOfRows, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const logits = device.tensor([0, 0, 5, -5], [2, 2]);
 * const losses = crossEntropyOfRows(logits, device.tensor(Int32Array.of(1, -1), [2]));
 * const [first, ignored] = await losses.floats();
 * assert.ok(Math.abs(first - Math.LN2) < 1e-6 && ignored === 0);
 * ```
 * @param logits float32 `[N, classes]`
 * @param targets int32 `[N]` below the number of classes; negative ones are ignored
 * @returns float32 `[N]`
 * @throws {TypeError} the shapes do not match
 * @throws {RangeError} the smoothing is not in [0, 1], or a target that the host wrote is not a class; if the device
 * computed it, the loss is NaN
 */
export function crossEntropyOfRows(
  logits: Tensor,
  targets: Tensor,
  { smoothing = 0 }: CrossEntropyOptions = {},
): Tensor {
  const losses = apply("crossEntropy", [logits, targets], { smoothing });
  const [, classes] = logits.shape;
  const greatest = targets.hostRange?.[1] ?? -1;
  if (greatest >= classes) {
    throw new RangeError(
      `Cannot take the cross-entropy: every target must be below ${classes}, got ${greatest}`,
    );
  }
  return losses;
}

/** −ln softmax(logits)[target], averaged over the rows whose target is not negative; 0 if there is none.
 *
 * ```ts
 * import { crossEntropy, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const loss = crossEntropy(device.tensor([0, 0], [1, 2]), device.tensor(Int32Array.of(1), [1]));
 * assert.ok(Math.abs(await loss.item() - Math.LN2) < 1e-6);
 * ```
 * @param logits float32 `[N, classes]`
 * @param targets int32 `[N]` below the number of classes; negative ones are ignored
 * @throws {TypeError} the shapes do not match
 * @throws {RangeError} the smoothing is not in [0, 1], or a target that the host wrote is not a class
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const losses = crossEntropyOfRows(logits, targets, options);
  const counted = sum(cast(greaterEqual(targets, 0), "float32"));
  return div(sum(losses), maximum(counted, 1));
}
