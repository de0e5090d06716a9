/** Guidance by the class. */
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import { slice } from "../../core/functions/movement.ts";
import type { Tensor } from "../../core/tensor.ts";

/** Guided logits (arXiv 2207.12598): those of no class, and from them towards those of the class, `guidance` times as far.
 *
 * ```ts
 * import { guidedLogits, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const logits = device.tensor([3, 0, 1, 0], [2, 2]);
 * assert.deepEqual([...await guidedLogits(logits, 2).floats()], [5, 0]);
 * ```
 * @param logits `[2B, ...]`: B of the classes, then B of no class
 * @param guidance 1 is the class's own, more than it sharpens
 * @returns `[B, ...]`
 */
export function guidedLogits(logits: Tensor, guidance: number): Tensor {
  const half = logits.shape.with(0, logits.shape[0] / 2), start = logits.shape.map(() => 0);
  const known = slice(logits, start, half);
  const unknown = slice(logits, start.with(0, half[0]), half);
  return add(unknown, mul(sub(known, unknown), guidance));
}
