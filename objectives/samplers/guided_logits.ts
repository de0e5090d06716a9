/** Classifier-free guidance of logits. */
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import { slice } from "../../core/functions/movement.ts";
import type { Tensor } from "../../core/tensor.ts";

/** Guided logits (arXiv 2207.12598): moves from the logits without a class `guidance` times the way to those with the
 * class.
 *
 * ```ts
 * import { guidedLogits, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const logits = device.tensor([3, 0, 1, 0], [2, 2]);
 * assert.deepEqual([...await guidedLogits(logits, 2).floats()], [5, 0]);
 * ```
 * @param logits `[2B, ...]`: B rows with the classes, then B rows without a class
 * @param guidance 1 gives the logits with the class; more follows the class more strongly
 * @returns `[B, ...]`
 */
export function guidedLogits(logits: Tensor, guidance: number): Tensor {
  const half = logits.shape.with(0, logits.shape[0] / 2), start = logits.shape.map(() => 0);
  const known = slice(logits, start, half);
  const unknown = slice(logits, start.with(0, half[0]), half);
  return add(unknown, mul(sub(known, unknown), guidance));
}
