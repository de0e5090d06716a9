/** The interface between the processes that train one model together, each on its part of every batch. */
import { mul } from "../core/functions/elementwise.ts";
import { slice } from "../core/functions/movement.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";

/** Communication with the other processes that train the same model.
 *
 * Every process holds the whole model and sees an equal part of each batch: rank r has rows r·n to (r + 1)·n of the
 * global batch. Code that learns from a batch uses this interface to get sums or rows of the global batch. So the state
 * is bitwise the same on every rank, and the same code serves one process and many. All ranks make the same calls in
 * the same order, with tensors of the same shape.
 *
 * Gradients pass through these operations. The global loss is the mean of the ranks' losses, and the optimiser step
 * averages the ranks' gradients in the same way.
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
  /** The elementwise sum over all ranks, bitwise the same on every rank.
   * @param x float32 or int32
   */
  sum(x: Tensor): Tensor;
  /** The sums of several tensors over all ranks, in few messages. Gradients do not pass. The results are new tensors;
   * with a single process they are the tensors themselves.
   * @param tensors each float32 or int32
   */
  sumAll(tensors: readonly Tensor[]): readonly Tensor[];
  /** Gathers the rows of all ranks on every rank: `[n, ...]` → `[count·n, ...]`, rank 0's first.
   * @param x float32 or int32
   * @throws {TypeError} it is a scalar
   */
  gather(x: Tensor): Tensor;
  /** Waits until every rank has come to this call, however late one is.
   * @param purpose what the ranks wait for, for error messages: `for the images`
   */
  wait(purpose: string): void;
}

/** A single process: every sum is its own input. */
export const SINGLE: Replicas = {
  rank: 0,
  count: 1,
  sum: (x) => x,
  sumAll: (tensors) => tensors,
  gather: (x) => x,
  wait: () => {},
};

/** The mean over all ranks, elementwise; gradients pass.
 *
 * ```ts
 * import { meanOverRanks, openDevice, SINGLE } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const loss = device.tensor([2], []);
 * assert.equal(meanOverRanks(loss, SINGLE), loss);
 * ```
 * @param x float32
 */
export function meanOverRanks(x: Tensor, replicas: Replicas): Tensor {
  return replicas.count === 1 ? x : mul(replicas.sum(x), 1 / replicas.count);
}

/** The means over all ranks of several tensors, in few messages; gradients do not pass.
 *
 * ```ts
 * import { averageOverRanks, openDevice, SINGLE } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const gradients = [device.tensor([2], [])];
 * assert.deepEqual(averageOverRanks(gradients, SINGLE), gradients);
 * ```
 * @param tensors each float32
 */
export function averageOverRanks(
  tensors: readonly Tensor[],
  replicas: Replicas,
): readonly Tensor[] {
  if (replicas.count === 1) return tensors;
  return replicas.sumAll(tensors).map((total) => mul(total, 1 / replicas.count));
}

/** Draws random numbers for a rank's rows of the global batch. Every rank draws the numbers of the whole batch and keeps
 * its own rows, so the numbers do not depend on the number of processes.
 *
 * ```ts
 * import { drawOwnRows, normal, openDevice, randomKey, SINGLE } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "noise");
 * const noise = drawOwnRows([4, 3], SINGLE, (shape) => normal(device, shape, key));
 * console.log(await noise.floats());
 * ```
 * @param shape the shape of the rank's own part; the first axis runs over its images, or over several rows for each
 * image
 * @param draw draws random numbers of a given shape
 */
export function drawOwnRows(
  shape: Shape,
  { rank, count }: Pick<Replicas, "rank" | "count">,
  draw: (shape: Shape) => Tensor,
): Tensor {
  if (count === 1) return draw(shape);
  const [rows, ...rest] = shape;
  return slice(draw([count * rows, ...rest]), [rank * rows, ...rest.map(() => 0)], shape);
}
