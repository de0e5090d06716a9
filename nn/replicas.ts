/** The processes that train one model together, each on its part of every batch. */
import type { Tensor } from "../core/tensor.ts";

/** What a step asks of the other processes that train the same model.
 *
 * Every process holds the whole model and sees an equal part of each batch: of the global batch, rows r·n to (r + 1)·n
 * are those of rank r. What learns from a batch asks here for sums or rows of the global one, so that the state is the
 * same on every rank, bit for bit, and one process and many are the same code. All ranks make the same calls in the same
 * order, with tensors of the same shape.
 *
 * Gradients pass: the loss is the mean of the ranks' own, and so are the gradients, which the optimiser's step averages.
 *
 * ```ts
 * import { openDevice, SINGLE } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const usage = device.tensor(Int32Array.of(3, 0, 1), [3]);
 * console.log(await SINGLE.sum(usage).integers()); // One process: 3, 0, 1.
 * ```
 */
export interface Replicas {
  /** Which part of the batch this process sees, in [0, count). */
  readonly rank: number;
  /** How many processes there are. */
  readonly count: number;
  /** The sum over all ranks, elementwise, the same bits on every rank.
   * @param x float32 or int32
   */
  sum(x: Tensor): Tensor;
  /** The sums over all ranks of several tensors, in few messages; gradients do not pass. The results are new tensors, or
   * in one process the tensors themselves.
   * @param tensors each float32 or int32
   */
  sumAll(tensors: readonly Tensor[]): readonly Tensor[];
  /** The rows of all ranks: `[n, ...]` → `[count·n, ...]`, rank 0's first, on every rank.
   * @param x float32 or int32
   * @throws {TypeError} it is a scalar
   */
  gather(x: Tensor): Tensor;
}

/** One process: every sum is what it was. */
export const SINGLE: Replicas = {
  rank: 0,
  count: 1,
  sum: (x) => x,
  sumAll: (tensors) => tensors,
  gather: (x) => x,
};
