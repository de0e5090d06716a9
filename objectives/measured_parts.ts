/** Combines the measurements of several processes. */
import type { Device } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { joinParts, type Rows, sumOfAll } from "./gather_rows.ts";

/** A batch of measured images. */
export type MeasuredBatch = Rows;

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
 * @param width how many values an image has
 * @throws {RangeError} no rank has an image
 */
export async function inOrder(
  device: Device,
  own: Float32Array<ArrayBuffer>,
  batches: readonly MeasuredBatch[],
  replicas: Replicas = SINGLE,
  width = 1,
): Promise<Float32Array<ArrayBuffer>> {
  replicas.wait("for the measured images");
  const total = width * await sumOfAll(device, own.length / width, replicas);
  if (total === 0) {
    throw new RangeError("Cannot evaluate: at least one batch is needed, got none");
  }
  if (replicas.count === 1) return own;
  const all = new Float32Array(total);
  let taken = 0;
  for (const { first, count } of batches) {
    const values = own.subarray(taken, taken + count * width);
    all.set(values, first * width);
    taken += values.length;
  }
  await joinParts(device, all, replicas);
  return all;
}
