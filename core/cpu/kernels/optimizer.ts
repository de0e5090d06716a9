/** The optimiser step. */
import type { Kernel } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { sizeOf } from "../../shape.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

/** How many elements one thread updates at a time. */
const BLOCK = 8192;

/** The optimisers' kernels. */
export function optimizerKernels(
  { exports, memory, describe, describeFloats }: Machine,
): { readonly adam: Kernel<Attributes["adam"], CpuBuffer> } {
  return {
    adam: (gradients, outputs, attributes) => {
      const { rate, beta1, beta2, correction, epsilon, regularization, decay } = attributes;
      const count = gradients.length;
      const blocks: number[] = [];
      gradients.forEach((gradient, index) => {
        const tensors = [gradient, ...[0, count, 2 * count].map((first) => outputs[first + index])];
        const size = sizeOf(gradient.shape);
        for (let start = 0; start < size; start += BLOCK) {
          for (const { buffer } of tensors) blocks.push(buffer.address + start * 4);
          blocks.push(Math.min(BLOCK, size - start));
        }
      });
      const table = memory.workspace(blocks.length * 4);
      memory.integers(table, blocks.length).set(blocks);
      describe([table, blocks.length / 5]);
      const betas = [beta1, 1 - beta1, beta2, 1 - beta2];
      describeFloats([rate, ...betas, correction, epsilon, regularization, 1 - decay], 2);
      exports.adam();
    },
  };
}
