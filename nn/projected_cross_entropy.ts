/** The cross-entropy of a linear layer's outputs, without holding all of them in memory. */
import { checkpoint } from "../core/checkpoint.ts";
import { concatenate, slice } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import type { Tensor } from "../core/tensor.ts";
import { crossEntropyOfRows, type CrossEntropyOptions } from "./losses.ts";

/** Options of the projected cross-entropy. */
export interface ProjectedCrossEntropyOptions extends CrossEntropyOptions {
  /** The largest number of logits in memory at once; by default 2²², 16 MiB. */
  readonly heldLogits?: number;
}

/** −ln softmax(features·weight)[target] for each row; 0 if the target is negative.
 *
 * If there are more logits than `heldLogits`, they are computed in chunks of rows, and `backward` recomputes each
 * chunk. The layer then does a third more work, but only one chunk of logits is in memory at a time.
 *
 * ```ts
 * import { openDevice, projectedCrossEntropy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const features = device.tensor([1, 2], [2, 1]), weight = device.tensor([0, 0], [1, 2]);
 * const targets = device.tensor(Int32Array.of(0, 1), [2]);
 * const [loss] = await projectedCrossEntropy(features, weight, targets).floats();
 * assert.ok(Math.abs(loss - Math.LN2) < 1e-6);
 * ```
 * @param features float32 `[N, width]`
 * @param weight float32 `[width, classes]`
 * @param targets int32 `[N]` below the number of classes; negative ones are ignored
 * @returns float32 `[N]`
 * @throws {TypeError} the shapes do not match
 * @throws {RangeError} as in `crossEntropyOfRows`
 */
export function projectedCrossEntropy(
  features: Tensor,
  weight: Tensor,
  targets: Tensor,
  { heldLogits = 2 ** 22, ...options }: ProjectedCrossEntropyOptions = {},
): Tensor {
  const [rows, width] = features.shape, [, classes] = weight.shape;
  const lossesOf = (features: Tensor, weight: Tensor, targets: Tensor) =>
    crossEntropyOfRows(matmul(features, weight, { precision: "mixed" }), targets, options);
  const piece = Math.max(1, Math.floor(heldLogits / classes));
  if (rows <= piece) return lossesOf(features, weight, targets);
  const pieces: Tensor[] = [];
  for (let start = 0; start < rows; start += piece) {
    const count = Math.min(piece, rows - start);
    const own = slice(targets, [start], [count]);
    pieces.push(
      checkpoint(
        (features, weight) => lossesOf(features, weight, own),
        slice(features, [start, 0], [count, width]),
        weight,
      ),
    );
  }
  const [first, ...rest] = pieces;
  return concatenate([first, ...rest]);
}
