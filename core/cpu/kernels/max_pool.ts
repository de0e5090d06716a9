/** Max pooling and its gradient. */
import type { Kernels, View } from "../../backend.ts";
import type { MaxPoolName, PoolAttributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

/** The kernels of max pooling. */
export function maxPoolKernels(machine: Machine): Pick<Kernels<CpuBuffer>, MaxPoolName> {
  const describe = (
    images: View<CpuBuffer>,
    pooled: View<CpuBuffer>,
    { size, stride, padding }: PoolAttributes,
    ...rest: readonly number[]
  ): void => {
    const [, rows, columns] = pooled.shape;
    const window = [...size, ...stride, ...padding];
    const addresses = [images.buffer.address, pooled.buffer.address];
    machine.describe([...addresses, ...images.shape, rows, columns, ...window, ...rest]);
  };
  return {
    maxPool: ([x], [output], attributes) => {
      describe(x, output, attributes);
      machine.exports.maxPool();
    },
    maxPoolGradient: ([x, y, gradient], [output], attributes) => {
      describe(x, y, attributes, gradient.buffer.address, output.buffer.address);
      machine.exports.maxPoolGradient();
    },
  };
}
