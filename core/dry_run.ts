/** A device that computes nothing and allocates nothing: it only tracks the shapes of tensors. */
import type { Backend, Buffer, DeviceName, HostArray, Kernels } from "./backend.ts";
import { operations } from "./ops.ts";
import { Device } from "./tensor.ts";

/** Step between the numbers that reads return. They vary because code that measures its data may require that. */
const STRIDE = 0.618;

/** Opens a device on which tensors have shapes but no values. Kernels do nothing; reading a tensor gives zeros (int32) or
 * arbitrary numbers in [0, 1) (float32). It counts bytes like every other device, so running a model's training step on it
 * shows how much memory the step needs.
 *
 * ```ts
 * import { Linear, openDryRun, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = openDryRun("cpu");
 * const huge = new Linear(device, 2 ** 16, 2 ** 16, { key: randomKey(1, "huge") });
 * assert.ok(device.liveBytes >= 4 * 2 ** 32);
 * huge.dispose();
 * ```
 * @param name of the device that it imitates
 */
export function openDryRun(name: DeviceName): Device {
  const doNothing = () => {};
  const kernels = Object.fromEntries(Object.keys(operations).map((each) => [each, doNothing]));
  const backend: Backend = {
    name,
    description: `a dry run for ${name}: shapes without values`,
    precision: "float32",
    kernels: kernels as unknown as Kernels<Buffer>,
    timing: "call",
    allocate: (bytes) => ({ bytes }),
    free: doNothing,
    write: doNothing,
    read: (_buffer, dtype, length): Promise<HostArray> =>
      Promise.resolve(
        dtype === "float32"
          ? Float32Array.from({ length }, (_, at) => (at * STRIDE) % 1)
          : new Int32Array(length),
      ),
    synchronize: () => Promise.resolve(),
    close: doNothing,
  };
  return new Device(backend);
}
