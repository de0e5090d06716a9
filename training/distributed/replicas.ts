/** Sums and gathers tensors over the ranks of a run. */
import type { HostView } from "../../core/backend.ts";
import { recordForeign } from "../../core/execute.ts";
import { slice } from "../../core/functions/movement.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { type Replicas, SINGLE } from "../../nn/replicas.ts";
import type { Communicator } from "./communicator.ts";

/** Options of `replicasOver`. */
export interface ReplicaOptions {
  /** The number of elements that `sumAll` puts into one message; 1,048,576 by default. */
  readonly bucketSize?: number;
}

/** 4 MiB: a bucket of this size stays in the cache between the copies into and out of it. It was the fastest size in
 * `bench/all_reduce.ts`. */
const USUAL_BUCKET = 2 ** 20;

/** The ranks of a communicator, for the tensors of a device. Tensors are sent directly from the device's memory.
 *
 * ```ts
 * import { openDevice, replicasOver, SingleCommunicator } from "@codebook/codebook";
 * using device = await openDevice("cpu");
 * using communicator = new SingleCommunicator(); // Or openMpi(), under mpirun.
 * const replicas = replicasOver(communicator, device);
 * console.log(await replicas.sum(device.tensor([1, 2], [2])).floats());
 * ```
 * @throws {TypeError} there are several ranks, and the host cannot access the device's memory
 * @throws {RangeError} the size of a bucket is not a positive integer
 */
export function replicasOver(
  communicator: Communicator,
  device: Device,
  { bucketSize = USUAL_BUCKET }: ReplicaOptions = {},
): Replicas {
  if (!Number.isInteger(bucketSize) || bucketSize < 1) {
    throw new RangeError(
      `Cannot train over ranks: the size of a bucket must be a positive integer, got ${bucketSize}`,
    );
  }
  if (communicator.size === 1) return SINGLE;
  if (device.backend.host === undefined) {
    throw new TypeError(
      `Cannot train over ${communicator.size} ranks: the device must be cpu or reference, whose memory can be sent directly, got ${device.name}`,
    );
  }
  return new Ranks(communicator, device, bucketSize);
}

/** A tensor's elements and where to write their sums. */
interface Piece {
  readonly from: HostView;
  readonly to: HostView;
}

class Ranks implements Replicas {
  readonly rank: number;
  readonly count: number;
  readonly #communicator: Communicator;
  readonly #device: Device;
  readonly #bucket: ArrayBuffer;

  constructor(communicator: Communicator, device: Device, bucketSize: number) {
    this.rank = communicator.rank;
    this.count = communicator.size;
    this.#communicator = communicator;
    this.#device = device;
    this.#bucket = new ArrayBuffer(bucketSize * 4);
  }

  sum(x: Tensor): Tensor {
    const total = this.#device.empty(x.shape, x.dtype);
    const values = this.#host(total);
    values.set(this.#host(x));
    this.#communicator.allReduce(values, nameOf(x));
    return recordForeign(x, total, (upstream) => this.sum(upstream));
  }

  sumAll(tensors: readonly Tensor[]): readonly Tensor[] {
    const totals = tensors.map(({ shape, dtype }) => this.#device.empty(shape, dtype));
    for (const dtype of ["float32", "int32"] as const) {
      const pieces = tensors.flatMap((tensor, index) =>
        tensor.dtype === dtype ? [{ from: this.#host(tensor), to: this.#host(totals[index]) }] : []
      );
      const whole = dtype === "float32"
        ? new Float32Array(this.#bucket)
        : new Int32Array(this.#bucket);
      this.#sumPieces(pieces, whole);
    }
    return totals;
  }

  gather(x: Tensor): Tensor {
    if (x.shape.length === 0) {
      throw new TypeError("Cannot gather over ranks: the tensor must have rows, got a scalar");
    }
    const [rows, ...rest] = x.shape;
    const shape: Shape = [this.count * rows, ...rest];
    const all = this.#device.empty(shape, x.dtype);
    this.#communicator.gather(this.#host(x), this.#host(all), nameOf(x));
    const start = [this.rank * rows, ...rest.map(() => 0)];
    return recordForeign(x, all, (upstream) => slice(this.sum(upstream), start, [rows, ...rest]));
  }

  wait(purpose: string): void {
    this.#communicator.barrier(purpose, Infinity);
  }

  /** Sums bucket by bucket; each bucket is filled completely before it is sent. */
  #sumPieces(pieces: readonly Piece[], bucket: HostView): void {
    let waiting: HostView[] = [], filled = 0;
    const send = () => {
      this.#communicator.allReduce(bucket.subarray(0, filled), `a bucket of ${filled} values`);
      let start = 0;
      for (const to of waiting) {
        to.set(bucket.subarray(start, start + to.length));
        start += to.length;
      }
      waiting = [];
      filled = 0;
    };
    for (const { from, to } of pieces) {
      for (let start = 0; start < from.length;) {
        const end = Math.min(from.length, start + bucket.length - filled);
        bucket.set(from.subarray(start, end), filled);
        waiting.push(to.subarray(start, end));
        filled += end - start;
        start = end;
        if (filled === bucket.length) send();
      }
    }
    if (filled > 0) send();
  }

  #host(tensor: Tensor): HostView {
    const { backend } = this.#device;
    if (tensor.device !== this.#device || backend.host === undefined) {
      throw new TypeError(
        `Cannot send a tensor to other ranks: it must be on ${this.#device.name} with memory that the host sees, got one on ${tensor.device.name}`,
      );
    }
    return backend.host(tensor.buffer, tensor.dtype, tensor.size);
  }
}

/** The name of a tensor in error messages. */
function nameOf({ dtype, shape }: Tensor): string {
  return `${dtype} ${showShape(shape)}`;
}
