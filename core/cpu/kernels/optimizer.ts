/** The optimiser's step. */
import type { Kernel } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { sizeOf } from "../../shape.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

/** The optimisers' kernels. */
export function optimizerKernels(
  machine: Machine,
): { readonly adam: Kernel<Attributes["adam"], CpuBuffer> } {
  return {
    adam: ([gradient], [parameter, firstMoment, secondMoment], attributes) => {
      const { rate, beta1, beta2, correction, epsilon, decay } = attributes;
      const tensors = [gradient, parameter, firstMoment, secondMoment];
      machine.describe([...tensors.map(({ buffer }) => buffer.address), sizeOf(gradient.shape)]);
      machine.describeFloats(
        [rate, beta1, 1 - beta1, beta2, 1 - beta2, correction, epsilon, 1 - decay],
        5,
      );
      machine.exports.adam();
    },
  };
}
