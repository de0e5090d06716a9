/** Matrix products and convolutions by the system's BLAS. */
import { sizeOf } from "../../shape.ts";
import type { Machine } from "../threads.ts";
import { addressOf, describeConvolution, type ProductKernels, splitsOf } from "./products.ts";

/** The kernels of products by BLAS, for a machine with that library. */
export function blasProductKernels(machine: Machine): ProductKernels {
  const { exports, memory } = machine;
  return {
    matmul: ([left, right], [output], { transposeA, transposeB }) => {
      const [batch, rows, columns] = output.shape;
      const depth = left.shape[transposeA ? 1 : 2];
      const splits = splitsOf(batch, rows, columns, depth);
      exports.blasMatmul(
        addressOf(left),
        addressOf(right),
        addressOf(output),
        splits === 1 ? 0 : memory.workspace(splits * sizeOf(output.shape) * 4),
        batch,
        left.shape[0],
        right.shape[0],
        rows,
        depth,
        columns,
        Number(transposeA),
        Number(transposeB),
        splits,
      );
    },
    conv2d: ([x, w, bias], [y], attributes) => {
      describeConvolution(machine, x.shape, w.shape, y.shape, attributes);
      const relu = Number(attributes.relu);
      exports.blasConv2d(addressOf(x), addressOf(w), addressOf(bias), addressOf(y), relu);
    },
    convTranspose2d: ([y, w, bias], [x], attributes) => {
      describeConvolution(machine, x.shape, w.shape, y.shape, attributes);
      const relu = Number(attributes.relu);
      exports.blasConvTranspose2d(addressOf(y), addressOf(w), addressOf(bias), addressOf(x), relu);
    },
    conv2dFilter: ([x, g], [w], attributes) => {
      describeConvolution(machine, x.shape, w.shape, g.shape, attributes);
      const splits = exports.blasFilterSplits();
      const partials = splits === 1 ? 0 : memory.workspace(splits * sizeOf(w.shape) * 4);
      exports.blasConv2dFilter(addressOf(x), addressOf(g), addressOf(w), partials);
    },
  };
}
