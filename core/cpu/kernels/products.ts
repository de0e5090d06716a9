/** Matrix products and convolutions. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes, ConvAttributes } from "../../ops.ts";
import { type Shape, sizeOf } from "../../shape.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Product = "matmul" | "conv2d" | "convTranspose2d" | "conv2dFilter";

/** The kernels of products. */
export type ProductKernels = { readonly [N in Product]: Kernel<Attributes[N], CpuBuffer> };

const PANEL = 8; // columns that are packed side by side
const GEOMETRY = 512; // in words: where the module expects a convolution's sizes
const ENOUGH_TASKS = 24;
const BLOCK = [96, 512] as const; // rows and columns of a task
const SHORTEST_SPLIT = 512;
const MOST_PRODUCTS = 2048; // per pixel: those of 96 pixels fill most of half a thread's scratch memory

const packedColumns = (columns: number): number => Math.ceil(columns / PANEL) * PANEL;

/** Into how many parts to split the reduction axis, so that a small result keeps many threads busy. */
export function splitsOf(batch: number, rows: number, columns: number, depth: number): number {
  const tasks = batch * Math.ceil(rows / BLOCK[0]) * Math.ceil(columns / BLOCK[1]);
  return Math.max(1, Math.min(Math.ceil(ENOUGH_TASKS / tasks), Math.floor(depth / SHORTEST_SPLIT)));
}

/** The address of a tensor's elements; 0 if there is no tensor. */
export function addressOf(view: View<CpuBuffer> | undefined): number {
  return view?.buffer.address ?? 0;
}

/** Tells the module the sizes of a convolution of x with w to y. */
export function describeConvolution(
  machine: Machine,
  x: Shape,
  w: Shape,
  y: Shape,
  { stride, padding, dilation }: ConvAttributes,
): void {
  const sizes = [...x, w[0], w[1], w[3], y[1], y[2]];
  machine.describe([...sizes, ...stride, ...padding, ...dilation], GEOMETRY);
}

/** The kernels of products. */
export function productKernels(machine: Machine): ProductKernels {
  const { exports, memory } = machine;
  return {
    matmul: ([left, right], [output], { transposeA, transposeB }) => {
      const [batch, rows, columns] = output.shape;
      const depth = left.shape[transposeA ? 1 : 2];
      const splits = splitsOf(batch, rows, columns, depth);
      const packedBytes = right.shape[0] * depth * packedColumns(columns) * 4;
      const partialBytes = splits === 1 ? 0 : splits * sizeOf(output.shape) * 4;
      const workspace = memory.workspace(packedBytes + partialBytes);
      exports.matmul(
        left.buffer.address,
        right.buffer.address,
        output.buffer.address,
        workspace,
        workspace + packedBytes,
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
      const [height, width, inputs, outputs] = w.shape;
      const packed = memory.workspace(height * width * inputs * packedColumns(outputs) * 4);
      const [from, filter] = [addressOf(x), addressOf(w)];
      exports.conv2d(
        from,
        filter,
        addressOf(bias),
        addressOf(y),
        packed,
        Number(attributes.relu),
      );
    },
    convTranspose2d: ([y, w, bias], [x], attributes) => {
      describeConvolution(machine, x.shape, w.shape, y.shape, attributes);
      const [height, width, inputs, outputs] = w.shape;
      const products = height * width * inputs;
      const narrow = inputs < PANEL && products <= MOST_PRODUCTS;
      const columns = narrow ? packedColumns(products) : height * width * packedColumns(inputs);
      const packed = memory.workspace(outputs * columns * 4);
      const [from, filter] = [addressOf(y), addressOf(w)];
      const kernel = narrow ? exports.convTranspose2dNarrow : exports.convTranspose2d;
      kernel(
        from,
        filter,
        addressOf(bias),
        addressOf(x),
        packed,
        Number(attributes.relu),
      );
    },
    conv2dFilter: ([x, g], [w], attributes) => {
      describeConvolution(machine, x.shape, w.shape, g.shape, attributes);
      const splits = exports.filterSplits();
      const partials = splits === 1 ? 0 : memory.workspace(splits * sizeOf(w.shape) * 4);
      exports.conv2dFilter(addressOf(x), addressOf(g), addressOf(w), partials);
    },
  };
}
