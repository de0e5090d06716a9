/** Group and layer normalisation. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Normalization = "normalize" | "normalizeGradient";
type Table = { readonly [N in Normalization]: Kernel<Attributes[N], CpuBuffer> };
type Views = readonly View<CpuBuffer>[];

/** The kernels of normalisation. */
export function normalizationKernels(machine: Machine): Table {
  const describe = (x: View<CpuBuffer>, others: Views, groups: number): void =>
    machine.describe([...[x, ...others].map(({ buffer }) => buffer.address), ...x.shape, groups]);
  return {
    normalize: ([x], [output, scale], { groups, epsilon }) => {
      describe(x, [scale, x, output], groups);
      machine.describeFloats([epsilon], 8);
      machine.exports.normalize();
    },
    normalizeGradient: ([normalized, scale, gradient], [output], { groups }) => {
      describe(normalized, [scale, gradient, output], groups);
      machine.exports.normalizeGradient();
    },
  };
}
