/** Watches how much memory a device's tensors take. */
import { type Backend, type Buffer, type View, withKernels, wrapKernels } from "./backend.ts";
import type { Device } from "./tensor.ts";

/** What was alive on a device since the watch began. */
export interface MemoryWatch extends Disposable {
  /** The most bytes that tensors held at once, those from before the watch counted in. */
  readonly peakBytes: number;
  /** The most bytes that the device held at once, what was ready for reuse counted in. */
  readonly heldBytes: number;
  /** Bytes of the longest buffer that a kernel saw. */
  readonly longestBytes: number;
}

/** Watches a device's memory until the result is disposed of: at each kernel, when all that it reads and writes is there.
 *
 * ```ts
 * import { exp, openDevice, watchMemory } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor(new Float32Array(1024), [1024]);
 * using watch = watchMemory(device);
 * exp(exp(x));
 * assert.equal(watch.peakBytes, 3 * 4096);
 * ```
 * @throws {Error} the device is watched already, by a profile perhaps
 */
export function watchMemory(device: Device): MemoryWatch {
  const watch = { peakBytes: 0, heldBytes: 0, longestBytes: 0 };
  const look = (views: readonly View[]) => {
    const { liveBytes, pooledBytes } = device;
    watch.peakBytes = Math.max(watch.peakBytes, liveBytes);
    watch.heldBytes = Math.max(watch.heldBytes, liveBytes + pooledBytes);
    for (const { buffer } of views) {
      watch.longestBytes = Math.max(watch.longestBytes, buffer.bytes);
    }
  };
  const { backend } = device;
  const kernels = wrapKernels<Buffer>(backend.kernels, (_name, kernel) => {
    return (inputs, outputs, attributes) => {
      look(inputs);
      look(outputs);
      kernel(inputs, outputs, attributes);
    };
  });
  const watched: Backend = withKernels(backend, kernels);
  const end = device.watch({ backend: watched, phase: () => {} });
  return Object.assign(watch, { [Symbol.dispose]: () => end[Symbol.dispose]() });
}
