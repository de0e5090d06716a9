/** Shares the rows of a batch among several processes: each computes its own rows, and all get all rows. */
import type { Device } from "../core/tensor.ts";
import type { Replicas } from "../nn/replicas.ts";

/** A range of rows. */
export interface Rows {
  /** The index of the first one. */
  readonly first: number;
  /** The number of rows. */
  readonly count: number;
}

/** The number of 32-bit words in one message: 4 MiB, as in `replicasOver`. */
const MESSAGE = 2 ** 20;

/** A rank's part of a batch. The parts are equal, or differ by one row if the ranks do not divide the batch.
 *
 * ```ts
 * import { ownRows } from "./gather_rows.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(ownRows({ first: 10, count: 5 }, { rank: 0, count: 2 }), { first: 10, count: 3 });
 * assert.deepEqual(ownRows({ first: 10, count: 5 }, { rank: 1, count: 2 }), { first: 13, count: 2 });
 * ```
 */
export function ownRows(batch: Rows, { rank, count }: Pick<Replicas, "rank" | "count">): Rows {
  const [start, end] = [rank, rank + 1].map((part) => Math.ceil(part * batch.count / count));
  return { first: batch.first + start, count: end - start };
}

/** Joins arrays in place, bit for bit. Each value is set by one rank and is 0 on the others.
 * @param device where the values are summed; the device of `replicas`
 */
export async function joinParts(
  device: Device,
  values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
  replicas: Replicas,
): Promise<void> {
  if (replicas.count === 1) return;
  // The bits are summed, because a sum of floats would lose the sign of −0.
  const words = new Int32Array(values.buffer, values.byteOffset, values.byteLength / 4);
  for (let start = 0; start < words.length; start += MESSAGE) {
    using _scope = device.scope();
    const part = words.subarray(start, start + MESSAGE);
    part.set(await replicas.sum(device.tensor(part.slice(), [part.length])).integers());
  }
}

/** The values of every rank, in the order of the ranks, bit for bit.
 * @param own this rank's values; their number may differ between ranks
 */
export async function gatherParts(
  device: Device,
  own: Float64Array<ArrayBuffer>,
  replicas: Replicas,
): Promise<readonly Float64Array<ArrayBuffer>[]> {
  const { rank, count } = replicas;
  const lengths = new Int32Array(count);
  lengths[rank] = own.length;
  await joinParts(device, lengths, replicas);
  const ends = Array.from(lengths, (_, at) => lengths.slice(0, at + 1).reduce((a, b) => a + b));
  const all = new Float64Array(ends[count - 1]);
  all.set(own, ends[rank] - own.length);
  await joinParts(device, all, replicas);
  return ends.map((end, at) => all.subarray(end - lengths[at], end));
}

/** The sum of an integer over all ranks. */
export async function sumOfAll(device: Device, own: number, replicas: Replicas): Promise<number> {
  using _scope = device.scope();
  const [total] = await replicas.sum(device.tensor(Int32Array.of(own), [1])).integers();
  return total;
}

/** Does this rank's part of some work, and waits for the others. A signal to one rank stops the work on all ranks.
 * @param work must throw an error after the signal
 * @throws {unknown} the error of `work`, the reason of the signal, or an `AbortError` after a signal to another rank
 */
export async function workTogether(
  device: Device,
  replicas: Replicas,
  work: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  if (replicas.count === 1) return await work();
  await work().catch((error) => {
    if (signal?.aborted !== true) throw error;
  });
  replicas.wait("for the work of the other ranks");
  await new Promise((turn) => setTimeout(turn)); // A signal may have come during the wait.
  const isStopped = signal?.aborted === true;
  const stopped = await sumOfAll(device, isStopped ? 1 : 0, replicas);
  if (isStopped) throw signal.reason;
  if (stopped > 0) throw new DOMException("another rank was stopped", "AbortError");
}
