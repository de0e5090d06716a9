/** Reductions over the middle axis of [outer, count, inner]. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Reduction = "sum" | "max" | "argmax" | "logsumexp" | "softmax" | "kthValue";
type Table = { readonly [N in Reduction]: Kernel<Attributes[N], CpuBuffer> };
type Views = readonly View<CpuBuffer>[];

/** The kernels of reductions. */
export function reductionKernels({ exports, memory, describe }: Machine): Table {
  const describeLines = ([x]: Views, [output]: Views, rank = 0): void => {
    describe([x.buffer.address, output.buffer.address, 0, ...x.shape, rank]);
  };
  const inParts = (reduce: () => void) => (inputs: Views, outputs: Views): void => {
    describeLines(inputs, outputs);
    const [outer, , inner] = inputs[0].shape;
    const parts = exports.reductionParts();
    if (parts > 1) describe([memory.workspace(outer * parts * inner * 4)], 2);
    reduce();
  };
  const byLine = (reduce: () => void) => (inputs: Views, outputs: Views): void => {
    describeLines(inputs, outputs);
    reduce();
  };
  return {
    sum: inParts(exports.sum),
    max: inParts(exports.maximum),
    argmax: byLine(exports.argmax),
    logsumexp: byLine(exports.logsumexp),
    softmax: byLine(exports.softmax),
    kthValue: (inputs, outputs, { rank }) => {
      describeLines(inputs, outputs, rank);
      exports.kthValue();
    },
  };
}
