/** Measures how much memory the tensors of a device use. */
import { type Backend, type Buffer, type View, withKernels, wrapKernels } from "./backend.ts";
import type { Device } from "./tensor.ts";

/** Memory use of a device since the watch began. */
export interface MemoryWatch extends Disposable {
  /** Peak of the bytes held by tensors, including tensors from before the watch. */
  readonly peakBytes: number;
  /** Peak of the bytes held by the device, including buffers kept for reuse. */
  readonly heldBytes: number;
  /** Size of the longest buffer that a kernel used, in bytes. */
  readonly longestBytes: number;
}

/** Watches the memory of a device until the result is disposed of. It looks at every kernel call, when all inputs and outputs
 * of the kernel are allocated.
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
 * @throws {Error} something else, such as a profile, is already watching the device
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
