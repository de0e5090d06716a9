/** The cross-entropy of a linear layer's outputs with soft targets, spread over nearby codes. */
import { checkpoint } from "../core/checkpoint.ts";
import { withoutGradients } from "../core/execute.ts";
import { mul, square, sub } from "../core/functions/elementwise.ts";
import { concatenate, slice } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { logsumexp, softmax, sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** The soft targets. */
export interface NearTargets {
  /** float32 `[N, D]`: the vector that each row should predict. */
  readonly vectors: Tensor;
  /** float32 `[K, D]`: the codes. */
  readonly codes: Tensor;
  /** τ > 0: the temperature of the targets; a higher one spreads them over more codes. */
  readonly temperature: number;
  /** The largest number of logits in memory at once; by default 2²², 16 MiB. */
  readonly heldLogits?: number;
}

/** −Σ_k Q(k)·ln softmax(features·weight)[k] of each row, with Q(k) ∝ exp(−‖r − e_k‖²/τ): nearer codes get a larger
 * share of the target (arXiv 2203.01941, 3.3).
 *
 * Computed in chunks of rows, like `projectedCrossEntropy`.
 *
 * ```ts
 * import { openDevice, softCrossEntropy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const features = device.tensor([1], [1, 1]), weight = device.tensor([0, 0], [1, 2]);
 * const codes = device.tensor([-1, 1], [2, 1]), vectors = device.tensor([0], [1, 1]);
 * const loss = softCrossEntropy(features, weight, { vectors, codes, temperature: 1 });
 * assert.ok(Math.abs(await loss.item() - Math.LN2) < 1e-6);
 * ```
 * @param features float32 `[N, width]`
 * @param weight float32 `[width, K]`
 * @returns float32 `[N]`
 * @throws {TypeError} the shapes do not match
 */
export function softCrossEntropy(
  features: Tensor,
  weight: Tensor,
  { vectors, codes, temperature, heldLogits = 2 ** 22 }: NearTargets,
): Tensor {
  const [rows, width] = features.shape, [, classes] = weight.shape;
  const lossesOf = (features: Tensor, weight: Tensor, vectors: Tensor) => {
    const logits = matmul(features, weight, { precision: "mixed" });
    const targets = withoutGradients(() => nearShares(vectors, codes, temperature));
    return sub(logsumexp(logits, -1), sum(mul(targets, logits), -1));
  };
  const piece = Math.max(1, Math.floor(heldLogits / classes));
  if (rows <= piece) return lossesOf(features, weight, vectors);
  const pieces: Tensor[] = [];
  for (let start = 0; start < rows; start += piece) {
    const count = Math.min(piece, rows - start);
    const own = slice(vectors, [start, 0], [count, vectors.shape[1]]);
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

/** softmax(−‖r − e_k‖²/τ) over the codes; ‖r‖² is the same for all codes and cancels. */
function nearShares(vectors: Tensor, codes: Tensor, temperature: number): Tensor {
  const products = matmul(vectors, codes, { transposeB: true });
  return softmax(mul(sub(mul(products, 2), sum(square(codes), -1)), 1 / temperature));
}
