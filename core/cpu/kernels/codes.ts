/** Rows by index, and sums and counts by segment. */
import type { Kernel } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Codes = "gather" | "segmentSum" | "segmentCount";
type Table = { readonly [N in Codes]: Kernel<Attributes[N], CpuBuffer> };

/** The kernels of rows and codes. */
export function codesKernels({ exports, describe }: Machine): Table {
  return {
    gather: ([table, indices], [output]) => {
      const addresses = [table, indices, output].map(({ buffer }) => buffer.address);
      describe([...addresses, ...table.shape, indices.shape[0]]);
      exports.gather();
    },
    segmentSum: ([values, indices], [output], { segments }) => {
      const [count, width] = values.shape;
      const addresses = [values, indices, output].map(({ buffer }) => buffer.address);
      describe([...addresses, segments, width, count]);
      exports.segmentSum();
    },
    segmentCount: ([indices], [output], { segments }) => {
      const { address } = indices.buffer;
      describe([address, address, output.buffer.address, segments, 1, indices.shape[0]]);
      exports.segmentCount();
    },
  };
}
