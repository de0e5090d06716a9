/** Convolutions as products of patches and the filter. The matrix of patches is never in memory. */
import { job, parallel, scratch } from "./pool";
import { ADD, BIAS, block, COLUMNS, depthStep, padded, PANELS_A, RELU, ROW_TABLE } from "./gemm";
import { interleave8, take8 } from "./pack";
import { cutSegments, describePatches, Geometry, geometry } from "./geometry";
import { locate, packPatches, Patches } from "./patches";

const BLOCK_ROWS: i32 = 96;

@unmanaged
class Convolution extends Patches {
  output: usize;
  bias: usize; // 0: none
  packed: usize;
  patches: i32;
  depth: i32;
  outputs: i32; // channels
  relu: i32;
  // Where the results are written: an image's size, the first pixel, the steps.
  outputHeight: i32;
  outputWidth: i32;
  outputY: i32;
  outputX: i32;
  outputStepY: i32;
  outputStepX: i32;
}

@unmanaged
class Filter {
  weights: usize;
  packed: usize;
  depth: i32; // of one tap
  columns: i32;
  taps: i32;
  tapsX: i32;
  transpose: i32;
  firstTap: i32;
  tapStepY: i32;
  tapStepX: i32;
}

/** Packs eight columns of the filter, tap after tap. */
function packTask(panel: i32): void {
  const f = changetype<Filter>(job);
  const width = padded(f.columns), depth = f.depth * f.taps, step = depthStep(depth);
  const column = panel * COLUMNS, valid = min(f.columns - column, COLUMNS);
  for (let k = 0; k < depth; k += step) {
    const length = min(step, depth - k);
    let to = f.packed + (<usize> (k * width + panel * length * COLUMNS) << 2);
    for (let at = k; at < k + length;) {
      const tap = at / f.depth, first = at - tap * f.depth;
      const count = min(f.depth - first, k + length - at);
      const lies = f.firstTap + (tap / f.tapsX) * f.tapStepY + (tap % f.tapsX) * f.tapStepX;
      const matrix = f.weights + (<usize> (lies * f.depth * f.columns) << 2);
      if (f.transpose) {
        interleave8(
          to,
          matrix + (<usize> (column * f.depth + first) << 2),
          <usize> f.depth << 2,
          valid,
          count,
        );
      } else {
        take8(
          to,
          matrix + (<usize> (first * f.columns + column) << 2),
          <usize> f.columns << 2,
          count,
        );
      }
      to += <usize> (count * COLUMNS) << 2;
      at += count;
    }
  }
}

/** Stores the addresses for the results of patches [first, first + count). */
function listOutputs(c: Convolution, first: i32, count: i32): void {
  const perImage = c.rows * c.columns;
  let image = first / perImage, y = (first % perImage) / c.columns, x = first % c.columns;
  for (let i = 0; i < count; i++) {
    const row = image * c.outputHeight + c.outputY + y * c.outputStepY;
    const pixel = row * c.outputWidth + c.outputX + x * c.outputStepX;
    const address = c.output + ((<usize> pixel * c.outputs) << 2);
    store<u32>(scratch + ROW_TABLE + (<usize> i << 2), <u32> address);
    if (++x == c.columns) {
      x = 0;
      if (++y == c.rows) {
        y = 0;
        image++;
      }
    }
  }
}

function convolveTask(index: i32): void {
  const c = changetype<Convolution>(job);
  const first = index * BLOCK_ROWS, height = min(BLOCK_ROWS, c.patches - first);
  locate(c, first, height);
  listOutputs(c, first, height);
  const step = depthStep(c.depth);
  const ending = (c.bias ? BIAS : 0) | (c.relu ? RELU : 0);
  // A phase of a transposed convolution may have no taps. A block of depth 0 then writes the bias.
  for (let k = 0; k == 0 || k < c.depth; k += step) {
    const length = min(step, c.depth - k);
    packPatches(c, scratch + PANELS_A, height, k, length);
    block(
      length,
      scratch + PANELS_A,
      c.packed + (<usize> (k * padded(c.outputs)) << 2),
      scratch + ROW_TABLE,
      height,
      0,
      c.outputs,
      (k > 0 ? ADD : 0) | (k + step >= c.depth ? ending : 0),
      c.bias,
    );
  }
}

/** Packs a filter's taps: tapsY × tapsX matrices [depth, columns] (or transposed).
 * @param firstTap the first tap; the others follow by the steps along x and y
 */
function packFilter(
  weights: usize,
  packed: usize,
  g: Geometry,
  transpose: bool,
  tapsY: i32,
  tapsX: i32,
  firstTap: i32,
  tapStepY: i32,
  tapStepX: i32,
): void {
  const f = changetype<Filter>(job);
  f.weights = weights;
  f.packed = packed;
  f.depth = transpose ? g.outputs : g.inputs;
  f.columns = transpose ? g.inputs : g.outputs;
  f.transpose = transpose;
  f.taps = tapsY * tapsX;
  f.tapsX = tapsX;
  f.firstTap = firstTap;
  f.tapStepY = tapStepY;
  f.tapStepX = tapStepX;
  parallel(packTask, padded(f.columns) / COLUMNS);
}

/** y = x ∗ w (+ bias, then relu), with the geometry in `geometry()`.
 * @param bias its address, 0 for none
 * @param packed room for kernelY · kernelX · inputs · (outputs rounded up to 8) floats
 */
export function conv2d(
  x: usize,
  w: usize,
  bias: usize,
  y: usize,
  packed: usize,
  relu: i32,
): void {
  const g = geometry();
  packFilter(w, packed, g, false, g.kernelY, g.kernelX, 0, g.kernelX, 1);
  const c = changetype<Convolution>(job);
  describePatches(c, g, x);
  c.output = y;
  c.bias = bias;
  c.packed = packed;
  c.relu = relu;
  c.patches = g.batch * g.rows * g.columns;
  c.depth = g.kernelY * g.kernelX * g.inputs;
  c.outputs = g.outputs;
  c.outputHeight = g.rows;
  c.outputWidth = g.columns;
  c.outputY = 0;
  c.outputX = 0;
  c.outputStepY = 1;
  c.outputStepX = 1;
  parallel(convolveTask, (c.patches + BLOCK_ROWS - 1) / BLOCK_ROWS);
}

function greatestDivisor(a: i32, b: i32): i32 {
  while (b) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/** The first tap whose distance to `phase` is a multiple of the stride, or −1. */
function firstTap(phase: i32, taps: i32, stride: i32, dilation: i32): i32 {
  for (let tap = 0; tap < min(taps, stride); tap++) {
    if ((tap * dilation - phase) % stride == 0) return tap;
  }
  return -1;
}

/** x = the adjoint of conv2d applied to y (+ bias, then relu).
 *
 * The pixels of x are divided into strideY × strideX phases by the taps that reach them. Each phase is a dense
 * convolution of y with stride 1, whose taps run backwards through the filter.
 * @param packed room for kernelY · kernelX · outputs · (inputs rounded up to 8) floats
 */
export function convTranspose2d(
  y: usize,
  w: usize,
  bias: usize,
  x: usize,
  packed: usize,
  relu: i32,
): void {
  const g = geometry();
  const commonY = greatestDivisor(g.strideY, g.dilationY);
  const commonX = greatestDivisor(g.strideX, g.dilationX);
  const everyY = g.strideY / commonY, everyX = g.strideX / commonX; // taps of one phase
  for (let phaseY = 0; phaseY < g.strideY; phaseY++) {
    // The first pixel of the phase, and the tap and row of y that reach it.
    const pixelY = (phaseY - g.paddingY % g.strideY + g.strideY) % g.strideY;
    const tapY = firstTap(phaseY, g.kernelY, g.strideY, g.dilationY);
    const tapsY = tapY < 0 ? 0 : (g.kernelY - tapY + everyY - 1) / everyY;
    const lastY = tapY + (tapsY - 1) * everyY;
    for (let phaseX = 0; phaseX < g.strideX; phaseX++) {
      const pixelX = (phaseX - g.paddingX % g.strideX + g.strideX) % g.strideX;
      const tapX = firstTap(phaseX, g.kernelX, g.strideX, g.dilationX);
      const tapsX = tapX < 0 ? 0 : (g.kernelX - tapX + everyX - 1) / everyX;
      const lastX = tapX + (tapsX - 1) * everyX;
      const rows = (g.height - pixelY + g.strideY - 1) / g.strideY;
      const columns = (g.width - pixelX + g.strideX - 1) / g.strideX;
      if (rows <= 0 || columns <= 0) continue;
      packFilter(
        w,
        packed,
        g,
        true,
        tapsY,
        tapsX,
        lastY * g.kernelX + lastX,
        -everyY * g.kernelX,
        -everyX,
      );
      const c = changetype<Convolution>(job);
      c.images = y;
      c.height = g.rows;
      c.width = g.columns;
      c.channels = g.outputs;
      c.rows = rows;
      c.columns = columns;
      c.strideY = 1;
      c.strideX = 1;
      c.offsetY = (pixelY + g.paddingY - lastY * g.dilationY) / g.strideY;
      c.offsetX = (pixelX + g.paddingX - lastX * g.dilationX) / g.strideX;
      c.stepY = g.dilationY / commonY;
      cutSegments(c, tapsY, tapsX, g.dilationX / commonX);
      c.output = x;
      c.bias = bias;
      c.packed = packed;
      c.relu = relu;
      c.patches = g.batch * rows * columns;
      c.depth = tapsY * tapsX * g.outputs;
      c.outputs = g.inputs;
      c.outputHeight = g.height;
      c.outputWidth = g.width;
      c.outputY = pixelY;
      c.outputX = pixelX;
      c.outputStepY = g.strideY;
      c.outputStepX = g.strideX;
      parallel(convolveTask, (c.patches + BLOCK_ROWS - 1) / BLOCK_ROWS);
    }
  }
}
