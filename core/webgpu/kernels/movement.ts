/** Kernels that move data: strided copies, pooling, filling. Elements are moved as 32-bit words, whatever their type. */
import type { Attributes, MovementName } from "../../ops.ts";
import type { Kernels, View } from "../../backend.ts";
import { broadcastStrides, type Shape, sizeOf, stridesOf } from "../../shape.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { checkLoops } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { mergeAxes } from "../../walk.ts";
import { walkKey, walksByFour, walkWgsl } from "../strides.ts";

/** One side of a strided copy. */
interface Side {
  readonly buffer: WebGpuBuffer;
  readonly strides: readonly number[];
  /** The offset of the first element. */
  readonly offset: number;
}

/** Copies `shape` elements from one strided place to another. */
function copyStrided(launcher: Launcher, shape: Shape, from: Side, to: Side): void {
  const walk = mergeAxes(shape, [from.strides, to.strides]);
  const byFour = walksByFour(walk) && sizeOf(shape) % 4 === 0 && from.offset % 4 === 0 &&
    to.offset % 4 === 0;
  const width = byFour ? 4 : 1;
  const still = walk.strides[0].at(-1) === 0;
  const count = sizeOf(shape) / width;
  const word = width === 4 ? "vec4<u32>" : "u32";
  launcher.launch({
    key: `move/${walkKey(walk, width)}`,
    shader: () => ({
      inputs: [`source: ${still ? "u32" : word}`],
      outputs: [`target_: ${word}`],
      numbers: ["count: u32", "read_from: u32", "write_to: u32"],
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.count) { return; }
${walkWgsl(walk, width)}
  target_[at1 + numbers.write_to] = ${word}(source[at0 + numbers.read_from]);`,
    }),
    inputs: [from.buffer],
    outputs: [to.buffer],
    numbers: [count, still ? from.offset : from.offset / width, to.offset / width],
    workgroups: workgroupsFor(count),
  });
}

// Copies whole vectors, even beyond the last element, since buffers are whole vectors long.
function copyWhole(
  launcher: Launcher,
  { buffer, shape }: View<WebGpuBuffer>,
  output: View<WebGpuBuffer>,
): void {
  const side = { strides: [1], offset: 0 };
  const elements = Math.ceil(sizeOf(shape) / 4) * 4;
  copyStrided(launcher, [elements], { ...side, buffer }, { ...side, buffer: output.buffer });
}

/** Fills a tensor's memory with one word. */
export function fillWords(
  launcher: Launcher,
  buffer: WebGpuBuffer,
  elements: number,
  word: number,
): void {
  const count = Math.ceil(elements / 4);
  launcher.launch({
    key: "fill",
    shader: () => ({
      inputs: [],
      outputs: ["filled: vec4<u32>"],
      numbers: ["count: u32", "word: u32"],
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index < numbers.count) { filled[index] = vec4<u32>(numbers.word); }`,
    }),
    inputs: [],
    outputs: [buffer],
    numbers: [count, word],
    workgroups: workgroupsFor(count),
  });
}

const wordOf = (value: number, dtype: View["dtype"]): number =>
  dtype === "float32" ? floatBits(value) : value >>> 0;

function whole({ buffer, shape }: View<WebGpuBuffer>): Side {
  return { buffer, strides: stridesOf(shape), offset: 0 };
}

function offsetOf(starts: readonly number[], shape: Shape): number {
  const strides = stridesOf(shape);
  return starts.reduce((sum, start, axis) => sum + start * strides[axis], 0);
}

type Pool = "averagePool" | "averagePoolGradient";

function launchPool(
  launcher: Launcher,
  name: Pool,
  input: View<WebGpuBuffer>,
  output: View<WebGpuBuffer>,
  attributes: Attributes["averagePool"],
): void {
  const [, height, width, channels] = output.shape;
  const [, sourceHeight, sourceWidth] = input.shape;
  const { size, stride, padding } = attributes;
  checkLoops(launcher, name, size[0] * (size[1] + 2));
  const vector = channels % 4 === 0 ? 4 : 1;
  const type = vector === 4 ? "vec4<f32>" : "f32";
  const count = sizeOf(output.shape) / vector;
  // Row of the source that window position i of output row y reads; in the gradient, the window that covers it.
  const source = (at: string, step: string, axis: 0 | 1) =>
    name === "averagePool"
      ? `let ${at} = i32(${at}_out * ${stride[axis]}u + ${step}) - ${padding[axis]};`
      : `let ${at}_moved = i32(${at}_out) + ${padding[axis]} - i32(${step});
      if (${at}_moved < 0 || ${at}_moved % ${stride[axis]} != 0) { continue; }
      let ${at} = ${at}_moved / ${stride[axis]};`;
  launcher.launch({
    key: `${name}/${[
      ...output.shape.slice(1),
      sourceHeight,
      sourceWidth,
    ]}/${size}/${stride}/${padding}`,
    shader: () => ({
      inputs: [`source: ${type}`],
      outputs: [`pooled: ${type}`],
      numbers: ["count: u32"],
      workgroupSize: WORKGROUP_SIZE,
      body: `
  if (index >= numbers.count) { return; }
  let channel = index % ${channels / vector}u;
  let pixel = index / ${channels / vector}u;
  let x_out = pixel % ${width}u;
  let y_out = (pixel / ${width}u) % ${height}u;
  let image = i32(pixel / ${width * height}u);
  var total = ${type}(0.0);
  for (var i = 0u; i < ${size[0]}u; i++) {
    ${source("y", "i", 0)}
    if (y < 0 || y >= ${sourceHeight}) { continue; }
    for (var j = 0u; j < ${size[1]}u; j++) {
      ${source("x", "j", 1)}
      if (x < 0 || x >= ${sourceWidth}) { continue; }
      total += source[u32((image * ${sourceHeight} + y) * ${sourceWidth} + x) * ${
        channels / vector
      }u + channel];
    }
  }
  pooled[index] = total / ${size[0] * size[1]}.0;`,
    }),
    inputs: [input.buffer],
    outputs: [output.buffer],
    numbers: [count],
    workgroups: workgroupsFor(count),
  });
}

type Table = Pick<Kernels<WebGpuBuffer>, MovementName>;

/** The kernels that move data. */
export function movementKernels(launcher: Launcher): Table {
  return {
    transpose: ([input], [output], { permutation }) => {
      const strides = stridesOf(input.shape);
      const from = {
        buffer: input.buffer,
        strides: permutation.map((axis) => strides[axis]),
        offset: 0,
      };
      copyStrided(launcher, output.shape, from, whole(output));
    },
    slice: ([input], [output], { starts }) => {
      const from = { ...whole(input), offset: offsetOf(starts, input.shape) };
      copyStrided(launcher, output.shape, from, whole(output));
    },
    pad: ([input], [output], { before, value }) => {
      fillWords(launcher, output.buffer, sizeOf(output.shape), wordOf(value, output.dtype));
      const to = { ...whole(output), offset: offsetOf(before, output.shape) };
      copyStrided(launcher, input.shape, whole(input), to);
    },
    broadcast: ([input], [output]) => {
      const strides = broadcastStrides(input.shape, output.shape);
      const from = { buffer: input.buffer, strides, offset: 0 };
      copyStrided(launcher, output.shape, from, whole(output));
    },
    concatenate: (inputs, [output], { axis }) => {
      const stride = stridesOf(output.shape)[axis];
      let start = 0;
      for (const input of inputs) {
        const to = { ...whole(output), offset: start * stride };
        copyStrided(launcher, input.shape, whole(input), to);
        start += input.shape[axis];
      }
    },
    upsampleNearest: ([input], [output], { scale }) => {
      const [batch, height, width, channels] = input.shape;
      const repeated = [batch, height, scale[0], width, scale[1], channels];
      const strides = [height * width * channels, width * channels, 0, channels, 0, 1];
      const to = { buffer: output.buffer, strides: stridesOf(repeated), offset: 0 };
      copyStrided(launcher, repeated, { buffer: input.buffer, strides, offset: 0 }, to);
    },
    averagePool: ([input], [output], attributes) =>
      launchPool(launcher, "averagePool", input, output, attributes),
    averagePoolGradient: ([input], [output], attributes) =>
      launchPool(launcher, "averagePoolGradient", input, output, attributes),
    copy: ([input], [output]) => copyWhole(launcher, input, output),
    full: (_, [output], { value, dtype }) =>
      fillWords(launcher, output.buffer, sizeOf(output.shape), wordOf(value, dtype)),
  };
}
