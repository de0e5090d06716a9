/** Combines the measurements of several processes. */
import type { Device } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";

/** A batch of measured images. */
export interface MeasuredBatch {
  /** The position of the first one among all images. */
  readonly first: number;
  /** How many images. */
  readonly count: number;
}

/** The values of all images, in the order of the images, on every rank.
 *
 * ```ts
 * import { openDevice } from "@codebook/codebook";
 * import { inOrder } from "./measured_parts.ts";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const errors = await inOrder(device, Float32Array.of(3, 4), [{ first: 0, count: 2 }]);
 * assert.deepEqual([...errors], [3, 4]);
 * ```
 * @param own the values of this rank's batches, one batch after another
 * @param batches this rank's batches; every image belongs to the batch of one rank
 * @throws {RangeError} no rank has an image
 */
export async function inOrder(
  device: Device,
  own: Float32Array<ArrayBuffer>,
  batches: readonly MeasuredBatch[],
  replicas: Replicas = SINGLE,
): Promise<Float32Array<ArrayBuffer>> {
  using _scope = device.scope();
  const [total] = await replicas.sum(device.tensor(Int32Array.of(own.length), [1])).integers();
  if (total === 0) {
    throw new RangeError("Cannot evaluate: at least one batch is needed, got none");
  }
  if (replicas.count === 1) return own;
  const all = new Float32Array(total);
  let taken = 0;
  for (const { first, count } of batches) {
    all.set(own.subarray(taken, taken + count), first);
    taken += count;
  }
  return await replicas.sum(device.tensor(all, [total])).floats();
}
