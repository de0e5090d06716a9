/** The convolution kernels: matrix products whose left operand is read directly from the images (implicit GEMM). */
import type { Attributes, ConvAttributes } from "../../ops.ts";
import type { Kernel, View } from "../../backend.ts";
import { type Source, sourcesOf } from "../halves.ts";
import type { Launcher } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import type { Operand } from "../product.ts";
import { launchProduct } from "../tiles.ts";
import { runPlainProduct } from "./matmul.ts";

/** A filter or gradient that is stored as [k, n] already. */
function plainOperand(source: Source, columns: number): Operand {
  return {
    source,
    contiguous: "line",
    vectors: columns % 4 === 0,
    line: "return vec4<i32>(i32(i));",
    load: `return fetch(k * ${columns}u + u32(line.x));`,
  };
}

// Reads the image at pixel (y, x), `offset` elements from the start; 0 outside the image.
function guardedLoad(height: number, width: number): string {
  return `
  let inside = u32(y) < ${height}u && u32(x) < ${width}u;
  let value = fetch(u32(select(0, offset, inside)));
  return select(E(0.0), value, inside);`;
}

function convolve(
  launcher: Launcher,
  [x, w, bias]: readonly View<WebGpuBuffer>[],
  output: View<WebGpuBuffer>,
  { stride, padding, dilation, relu }: Attributes["conv2d"],
): void {
  const [, height, width, channels] = x.shape;
  const [batch, outHeight, outWidth, columns] = output.shape;
  const [kernelHeight, kernelWidth] = w.shape;
  const [images, filter] = sourcesOf(launcher, [x, w], "mixed");
  launchProduct(launcher, {
    tiling: launcher.tilings.convolution,
    key: `conv2d/${[
      height,
      width,
      outHeight,
      outWidth,
    ]}/${w.shape}/${stride}/${padding}/${dilation}/${relu}/${bias !== undefined}`,
    a: {
      source: images,
      contiguous: "depth",
      vectors: channels % 4 === 0,
      line: `
  let image = i32(i / ${outHeight * outWidth}u);
  let y = i32((i / ${outWidth}u) % ${outHeight}u) * ${stride[0]} - ${padding[0]};
  let x = i32(i % ${outWidth}u) * ${stride[1]} - ${padding[1]};
  return vec4<i32>(((image * ${height} + y) * ${width} + x) * ${channels}, y, x, 0);`,
      load: `
  let tap = k / ${channels}u;
  let down = i32(tap / ${kernelWidth}u) * ${dilation[0]};
  let right = i32(tap % ${kernelWidth}u) * ${dilation[1]};
  let y = line.y + down;
  let x = line.z + right;
  let offset = line.x + (down * ${width} + right) * ${channels} + i32(k % ${channels}u);${
        guardedLoad(height, width)
      }`,
    },
    b: plainOperand(filter, columns),
    output: output.buffer,
    items: 1,
    rows: batch * outHeight * outWidth,
    columns,
    depth: kernelHeight * kernelWidth * channels,
    splits: false,
    numbers: [],
    bias: bias?.buffer,
    relu,
  }, { pieces: 1, length: kernelHeight * kernelWidth * channels });
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Output pixels y ≡ start (mod stride), and the taps that reach them: input row = `row` + (index of the pixel) −
 * i·`back` for tap `first` + i·`apart`, i < `taps`. */
interface Phase {
  readonly start: number;
  readonly pixels: number;
  readonly first: number;
  readonly apart: number;
  readonly taps: number;
  readonly row: number;
  readonly back: number;
}

/** The phases of one axis of a transposed convolution. */
function phasesOf(
  axis: 0 | 1,
  length: number,
  kernel: number,
  { stride, padding, dilation }: ConvAttributes,
): Phase[] {
  const s = stride[axis], p = padding[axis], d = dilation[axis];
  const apart = s / gcd(s, d);
  return Array.from({ length: Math.min(s, length) }, (_, start) => {
    const taps = Array.from({ length: kernel }, (_, tap) => tap)
      .filter((tap) => (start + p - tap * d) % s === 0);
    const first = taps[0] ?? 0;
    return {
      start,
      pixels: Math.ceil((length - start) / s),
      first,
      apart,
      taps: taps.length,
      row: taps.length === 0 ? 0 : (start + p - first * d) / s,
      back: d / gcd(s, d),
    };
  });
}

function convolvePhase(
  launcher: Launcher,
  [g, w, bias]: readonly View<WebGpuBuffer>[],
  [images, filter]: readonly Source[],
  output: View<WebGpuBuffer>,
  { stride, relu }: Attributes["convTranspose2d"],
  down: Phase,
  across: Phase,
): void {
  const [batch, height, width, channels] = g.shape;
  const [, outHeight, outWidth, columns] = output.shape;
  const kernelWidth = w.shape[1];
  const depth = down.taps * across.taps * channels;
  const pixels = down.pixels * across.pixels;
  const baked = [down.pixels, across.pixels, across.taps, down.apart, across.apart];
  const image = [height, width, outHeight, outWidth];
  launchProduct(launcher, {
    tiling: launcher.tilings.convolution,
    key: `convTranspose2d/${image}/${w.shape}/${stride}/${baked}/${[
      down.back,
      across.back,
    ]}/${relu}/${bias !== undefined}`,
    a: {
      source: images,
      contiguous: "depth",
      vectors: channels % 4 === 0,
      line: `
  let image = i32(i / ${pixels}u);
  let y = i32((i / ${across.pixels}u) % ${down.pixels}u) + numbers.row_y;
  let x = i32(i % ${across.pixels}u) + numbers.row_x;
  return vec4<i32>(((image * ${height} + y) * ${width} + x) * ${channels}, y, x, 0);`,
      load: `
  let tap = k / ${channels}u;
  let up = i32(tap / ${Math.max(across.taps, 1)}u) * ${down.back};
  let left = i32(tap % ${Math.max(across.taps, 1)}u) * ${across.back};
  let y = line.y - up;
  let x = line.z - left;
  let offset = line.x - (up * ${width} + left) * ${channels} + i32(k % ${channels}u);${
        guardedLoad(height, width)
      }`,
    },
    b: {
      source: filter,
      contiguous: "depth",
      vectors: channels % 4 === 0,
      line: `return vec4<i32>(i32(i) * ${channels});`,
      load: `
  let tap = k / ${channels}u;
  let y = numbers.first_y + (tap / ${Math.max(across.taps, 1)}u) * ${down.apart}u;
  let x = numbers.first_x + (tap % ${Math.max(across.taps, 1)}u) * ${across.apart}u;
  return fetch((y * ${kernelWidth}u + x) * ${
        columns * channels
      }u + u32(line.x) + k % ${channels}u);`,
    },
    output: output.buffer,
    items: 1,
    rows: batch * pixels,
    columns,
    depth,
    splits: false,
    numbers: [
      ["row_y: i32", down.row >>> 0],
      ["row_x: i32", across.row >>> 0],
      ["first_y: u32", down.first],
      ["first_x: u32", across.first],
      ["start_y: u32", down.start],
      ["start_x: u32", across.start],
    ],
    place: `
  let y = ((m / ${across.pixels}u) % ${down.pixels}u) * ${stride[0]}u + numbers.start_y;
  let x = (m % ${across.pixels}u) * ${stride[1]}u + numbers.start_x;
  return (((m / ${pixels}u) * ${outHeight}u + y) * ${outWidth}u + x) * ${columns}u + n;`,
    bias: bias?.buffer,
    relu,
  }, { pieces: 1, length: depth });
}

function convolveFilter(
  launcher: Launcher,
  [x, g]: readonly View<WebGpuBuffer>[],
  output: View<WebGpuBuffer>,
  { stride, padding, dilation }: ConvAttributes,
): void {
  const [, height, width, channels] = x.shape;
  const [batch, outHeight, outWidth, columns] = g.shape;
  const [kernelHeight, kernelWidth] = output.shape;
  const [images, gradient] = sourcesOf(launcher, [x, g], "mixed");
  runPlainProduct(launcher, {
    tiling: launcher.tilings.convolution,
    key: `conv2dFilter/${[
      height,
      width,
      outHeight,
      outWidth,
    ]}/${output.shape}/${stride}/${padding}/${dilation}`,
    a: {
      source: images,
      contiguous: "line",
      vectors: channels % 4 === 0,
      line: `
  let tap = i / ${channels}u;
  let y = i32(tap / ${kernelWidth}u) * ${dilation[0]} - ${padding[0]};
  let x = i32(tap % ${kernelWidth}u) * ${dilation[1]} - ${padding[1]};
  return vec4<i32>((y * ${width} + x) * ${channels} + i32(i % ${channels}u), y, x, 0);`,
      load: `
  let image = i32(k / ${outHeight * outWidth}u);
  let down = i32((k / ${outWidth}u) % ${outHeight}u) * ${stride[0]};
  let right = i32(k % ${outWidth}u) * ${stride[1]};
  let y = line.y + down;
  let x = line.z + right;
  let offset = line.x + ((image * ${height} + down) * ${width} + right) * ${channels};${
        guardedLoad(height, width)
      }`,
    },
    b: plainOperand(gradient, columns),
    output: output.buffer,
    items: 1,
    rows: kernelHeight * kernelWidth * channels,
    columns,
    depth: batch * outHeight * outWidth,
    splits: true,
    numbers: [],
  });
}

type Convolution = "conv2d" | "convTranspose2d" | "conv2dFilter";
type Table = { readonly [N in Convolution]: Kernel<Attributes[N], WebGpuBuffer> };

/** The convolution kernels. */
export function convolutionKernels(launcher: Launcher): Table {
  return {
    conv2d: (inputs, [output], attributes) => convolve(launcher, inputs, output, attributes),
    // Output pixels reached by the same taps form a phase. Each phase is one product, without multiplications by zero.
    convTranspose2d: (inputs, [output], attributes) => {
      const [, height, width] = output.shape;
      const [g, w] = inputs;
      const sources = sourcesOf(launcher, [g, w], "mixed");
      for (const down of phasesOf(0, height, w.shape[0], attributes)) {
        for (const across of phasesOf(1, width, w.shape[1], attributes)) {
          convolvePhase(launcher, inputs, sources, output, attributes, down, across);
        }
      }
    },
    conv2dFilter: (inputs, [output], attributes) =>
      convolveFilter(launcher, inputs, output, attributes),
  };
}
