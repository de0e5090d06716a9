/** Losses: scalars, means over all elements unless said otherwise. */
import { abs, add, square, sub } from "../core/functions/elementwise.ts";
import { gather } from "../core/functions/indexing.ts";
import { reshape } from "../core/functions/movement.ts";
import { logsumexp, mean } from "../core/functions/reductions.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";

/** mean((a − b)²) over all elements. */
export function meanSquaredError(a: Tensor, b: Tensor): Tensor {
  return mean(square(sub(a, b)));
}

/** mean(|a − b|) over all elements. */
export function meanAbsoluteError(a: Tensor, b: Tensor): Tensor {
  return mean(abs(sub(a, b)));
}

/** −ln softmax(logits)[target], the mean over rows.
 *
 * ```ts
 * import { crossEntropy, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const loss = crossEntropy(device.tensor([0, 0], [1, 2]), device.tensor(Int32Array.of(1), [1]));
 * assert.ok(Math.abs(await loss.item() - Math.LN2) < 1e-6);
 * ```
 * @param logits float32 `[N, classes]`
 * @param targets int32 `[N]` in [0, classes)
 * @throws {TypeError} shapes that do not agree
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const [rows, classes] = logits.shape;
  if (logits.shape.length !== 2 || !sameShape(targets.shape, [rows])) {
    throw new TypeError(
      `Cannot take the cross-entropy: logits must be [N, classes] and targets [N], got ${
        showShape(logits.shape)
      } and ${showShape(targets.shape)}`,
    );
  }
  const starts = Int32Array.from({ length: rows }, (_, row) => row * classes);
  const positions = add(targets, logits.device.tensor(starts, [rows]));
  const chosen = gather(reshape(logits, [rows * classes, 1]), positions);
  return mean(sub(logsumexp(logits, -1), reshape(chosen, [rows])));
}
