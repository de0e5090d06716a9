/** Operations that move elements, and pooling. */
import type { Kernels, View } from "../../backend.ts";
import type { MovementName, PoolAttributes } from "../../ops.ts";
import { broadcastStrides, type DType, type Shape, sizeOf, stridesOf } from "../../shape.ts";
import { mergeAxes } from "../../walk.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Table = Pick<Kernels<CpuBuffer>, MovementName>;

/** One side of a strided copy. */
interface Side {
  readonly buffer: CpuBuffer;
  readonly strides: readonly number[];
  /** The offset of the first element. */
  readonly offset?: number;
}

const WORD = 10; // in words: where the module reserves a word for the fill value
const WALK_TABLE = 32; // in words: where it expects the outer axes
const MOST_AXES = 160;

const offsetOf = (index: readonly number[], strides: readonly number[]): number =>
  index.reduce((offset, at, axis) => offset + at * strides[axis], 0);

/** Copies `shape` elements from one strided place to another. The module works in planes. Their columns are the
 * target's innermost axis. Their rows are the source's innermost axis, or the next one if both are the same.
 */
function move({ describe, exports }: Machine, shape: Shape, from: Side, to: Side): void {
  const { sizes, strides: [source, target] } = mergeAxes(shape, [from.strides, to.strides]);
  if (sizes.length > MOST_AXES) {
    throw new RangeError(
      `Cannot move on cpu: at most ${MOST_AXES} axes may differ, got ${sizes.length}`,
    );
  }
  const columns = sizes.length - 1, innermost = source.indexOf(1);
  const rows = innermost >= 0 && innermost < columns ? innermost : columns - 1;
  const start = ({ buffer, offset = 0 }: Side) => buffer.address + offset * 4;
  const walk = (axis: number) =>
    axis < 0 ? [1, 0, 0] : [sizes[axis], target[axis] * 4, source[axis] * 4];
  const outer = [...sizes.keys()].filter((axis) => axis !== rows && axis !== columns).reverse();
  const planes = sizeOf(outer.map((axis) => sizes[axis]));
  describe([start(to), start(from), planes, outer.length, ...walk(rows), ...walk(columns)]);
  describe(outer.flatMap(walk), WALK_TABLE);
  exports.move();
}

/** Fills a tensor's memory with a value: a copy from one word with stride 0. */
function fill(
  { describe, describeFloats, exports }: Machine,
  { buffer, shape }: View<CpuBuffer>,
  value: number,
  dtype: DType,
): void {
  const word = exports.jobAddress() + WORD * 4;
  describe([buffer.address, word, 1, 0, 1, 0, 0, sizeOf(shape), 4, 0]);
  (dtype === "float32" ? describeFloats : describe)([value], WORD);
  exports.move();
}

/** The kernels that move elements. */
export function movementKernels(machine: Machine): Table {
  const lies = ({ buffer, shape }: View<CpuBuffer>): Side => ({
    buffer,
    strides: stridesOf(shape),
  });
  const describePooling = (
    images: View<CpuBuffer>,
    pooled: View<CpuBuffer>,
    { size, stride, padding }: PoolAttributes,
  ): void =>
    machine.describe([
      images.buffer.address,
      pooled.buffer.address,
      ...images.shape,
      pooled.shape[1],
      pooled.shape[2],
      ...size,
      ...stride,
      ...padding,
    ]);
  return {
    transpose: ([x], [output], { permutation }) => {
      const strides = stridesOf(x.shape);
      const permuted = permutation.map((axis) => strides[axis]);
      move(machine, output.shape, { buffer: x.buffer, strides: permuted }, lies(output));
    },
    slice: ([x], [output], { starts, sizes }) => {
      const from = lies(x);
      const offset = offsetOf(starts, from.strides);
      move(machine, sizes, { ...from, offset }, lies(output));
    },
    pad: ([x], [output], { before, value }) => {
      fill(machine, output, value, output.dtype);
      const to = lies(output);
      move(machine, x.shape, lies(x), { ...to, offset: offsetOf(before, to.strides) });
    },
    broadcast: ([x], [output]) => {
      const strides = broadcastStrides(x.shape, output.shape);
      move(machine, output.shape, { buffer: x.buffer, strides }, lies(output));
    },
    concatenate: (inputs, [output], { axis }) => {
      const to = lies(output);
      let start = 0;
      for (const x of inputs) {
        move(machine, x.shape, lies(x), { ...to, offset: start * to.strides[axis] });
        start += x.shape[axis];
      }
    },
    upsampleNearest: ([x], [output], { scale }) => {
      const [batch, height, width, channels] = x.shape;
      const [image, row, pixel, channel] = stridesOf(x.shape);
      const shape = [batch, height, scale[0], width, scale[1], channels];
      const strides = [image, row, 0, pixel, 0, channel];
      const to = { buffer: output.buffer, strides: stridesOf(shape) };
      move(machine, shape, { buffer: x.buffer, strides }, to);
    },
    averagePool: ([x], [output], attributes) => {
      describePooling(x, output, attributes);
      machine.exports.averagePool();
    },
    averagePoolGradient: ([gradient], [output], attributes) => {
      describePooling(output, gradient, attributes);
      machine.exports.averagePoolGradient();
    },
    copy: ([x], [output]) => move(machine, x.shape, lies(x), lies(output)),
    full: (_, [output], { value, dtype }) => fill(machine, output, value, dtype),
  };
}
