/** The cross-entropy of rows, and its gradient. */
import type { Kernels, View } from "../../backend.ts";
import type { CrossEntropyName } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

/** The kernels of the cross-entropy. */
export function crossEntropyKernels(
  machine: Machine,
): Pick<Kernels<CpuBuffer>, CrossEntropyName> {
  const describe = (
    [logits, targets, gradient]: readonly View<CpuBuffer>[],
    output: View<CpuBuffer>,
    smoothing: number,
  ): void => {
    const addresses = [logits, targets, gradient, output].map((view) => view?.buffer.address ?? 0);
    machine.describe([...addresses, ...logits.shape]);
    machine.describeFloats([smoothing], 6);
  };
  return {
    crossEntropy: (inputs, [output], { smoothing }) => {
      describe(inputs, output, smoothing);
      machine.exports.crossEntropy();
    },
    crossEntropyGradient: (inputs, [output], { smoothing }) => {
      describe(inputs, output, smoothing);
      machine.exports.crossEntropyGradient();
    },
  };
}
