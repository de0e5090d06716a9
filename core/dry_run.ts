/** A device without memory and without arithmetic: what runs on it is a matter of shapes alone. */
import type { Backend, Buffer, DeviceName, HostArray, Kernels } from "./backend.ts";
import { operations } from "./ops.ts";
import { Device } from "./tensor.ts";

/** Differences between the numbers that are read: they vary, as what measures its data asks, and mean nothing. */
const STRIDE = 0.618;

/** Opens a device on which tensors have shapes and no values: kernels do nothing, integers are read as 0, and floats as numbers
 * in [0, 1) that mean nothing. It counts its bytes as every device does, so that a model's own step tells what memory the
 * step takes elsewhere.
 *
 * ```ts
 * import { Linear, openDryRun, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = openDryRun("cpu");
 * const huge = new Linear(device, 2 ** 16, 2 ** 16, { key: randomKey(1, "huge") });
 * assert.ok(device.liveBytes >= 4 * 2 ** 32);
 * huge.dispose();
 * ```
 * @param name of the device that it stands for
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
