/** The adjoint of a convolution whose images have fewer channels than a tile has columns. It computes the products of
 * each pixel of y with all taps, side by side, so that tiles are full, and then adds them to their pixels.
 */
import { job, parallel, scratch } from "./pool";
import { ADD, block, COLUMNS, depthStep, padded, PANELS_A, PANELS_B, ROW_TABLE, ROWS } from "./gemm";
import { interleave6, interleave8 } from "./pack";
import { geometry } from "./geometry";

const BLOCK_ROWS: i32 = 96;
/** The number of image rows in a task. */
const STRIP: i32 = 32;

@unmanaged
class Scatter {
  y: usize;
  weights: usize;
  bias: usize; // 0: none
  x: usize;
  packed: usize;
  relu: i32;
  columns: i32; // taps · channels of the image
  strips: i32; // of an image
}

/** Packs eight taps' weights: a panel of the filter, transposed. */
function packTask(panel: i32): void {
  const s = changetype<Scatter>(job), depth = geometry().outputs;
  const column = panel * COLUMNS, step = depthStep(depth);
  for (let k = 0; k < depth; k += step) {
    const length = min(step, depth - k);
    interleave8(
      s.packed + (<usize> (k * padded(s.columns) + column * length) << 2),
      s.weights + (<usize> (column * depth + k) << 2),
      <usize> depth << 2,
      min(s.columns - column, COLUMNS),
      length,
    );
  }
}

/** The products of pixels [first, first + count) of y with all taps: one row per pixel, at PANELS_B. */
function multiplyPixels(s: Scatter, first: i32, count: i32): void {
  const depth = geometry().outputs, step = depthStep(depth), width = padded(s.columns);
  const height = (count + ROWS - 1) / ROWS * ROWS;
  for (let i = 0; i < height; i++) {
    const row = scratch + PANELS_B + (<usize> (i * width) << 2);
    store<u32>(scratch + ROW_TABLE + (<usize> i << 2), <u32> row);
  }
  for (let k = 0; k < depth; k += step) {
    const length = min(step, depth - k);
    let to = scratch + PANELS_A;
    for (let i = 0; i < height; i += ROWS) {
      for (let j = 0; j < ROWS; j++) {
        const pixel = s.y + (<usize> ((first + min(i + j, count - 1)) * depth + k) << 2);
        store<u32>(scratch + (<usize> j << 2), <u32> pixel);
      }
      interleave6(to, scratch, 0, length);
      to += <usize> (length * ROWS) << 2;
    }
    const panels = s.packed + (<usize> (k * width) << 2);
    const rows = scratch + ROW_TABLE, flags = k > 0 ? ADD : 0;
    block(length, scratch + PANELS_A, panels, rows, height, 0, width, flags, 0);
  }
}

/** Adds `length` floats to a row of `width` floats, from `start` on. Floats beyond its ends are dropped. */
function addRun(row: usize, width: i32, start: i32, from: usize, length: i32): void {
  const low = max(0, -start);
  let left = min(length, width - start) - low;
  let to = row + (<usize> (start + low) << 2);
  from += <usize> low << 2;
  for (; left >= 4; left -= 4, to += 16, from += 16) {
    v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  }
  for (; left > 0; left--, to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

/** Adds a pixel's products to rows [top, bottom) of an image. y and x are the pixel's coordinates in y. */
function addPixel(products: usize, image: usize, top: i32, bottom: i32, y: i32, x: i32): void {
  const g = geometry(), touching = g.dilationX == 1, width = g.width * g.inputs;
  const segments = touching ? 1 : g.kernelX, length = touching ? g.kernelX * g.inputs : g.inputs;
  for (let tap = 0; tap < g.kernelY; tap++) {
    const row = y * g.strideY - g.paddingY + tap * g.dilationY;
    if (row < top || row >= bottom) continue;
    const to = image + (<usize> (row * width) << 2);
    for (let segment = 0; segment < segments; segment++) {
      const column = x * g.strideX - g.paddingX + segment * g.dilationX;
      const from = products + (<usize> ((tap * segments + segment) * length) << 2);
      addRun(to, width, column * g.inputs, from, length);
    }
  }
}

/** Fills floats [from, to) with the bias, or with zeros. */
function begin(s: Scatter, from: usize, to: usize): void {
  if (!s.bias) {
    memory.fill(from, 0, to - from);
    return;
  }
  for (const bytes = <usize> geometry().inputs << 2; from < to; from += bytes) {
    memory.copy(from, s.bias, bytes);
  }
}

function scatterTask(index: i32): void {
  const s = changetype<Scatter>(job), g = geometry();
  const image = index / s.strips, top = (index % s.strips) * STRIP;
  const bottom = min(top + STRIP, g.height), rowBytes = <usize> (g.width * g.inputs) << 2;
  const pixels = s.x + <usize> image * <usize> g.height * rowBytes;
  const from = pixels + <usize> top * rowBytes, to = pixels + <usize> bottom * rowBytes;
  begin(s, from, to);
  // The rows of y whose taps reach the strip.
  const reach = (g.kernelY - 1) * g.dilationY;
  const firstRow = max(0, (top + g.paddingY - reach + g.strideY - 1) / g.strideY);
  const endRow = min(g.rows, (bottom - 1 + g.paddingY) / g.strideY + 1);
  const end = endRow * g.columns;
  for (let first = firstRow * g.columns; first < end; first += BLOCK_ROWS) {
    const count = min(BLOCK_ROWS, end - first);
    multiplyPixels(s, image * g.rows * g.columns + first, count);
    for (let i = 0; i < count; i++) {
      const products = scratch + PANELS_B + (<usize> (i * padded(s.columns)) << 2);
      addPixel(products, pixels, top, bottom, (first + i) / g.columns, (first + i) % g.columns);
    }
  }
  if (s.relu) {
    for (let at = from; at < to; at += 4) store<f32>(at, max<f32>(load<f32>(at), 0));
  }
}

/** x = the adjoint of conv2d applied to y (+ bias, then relu), as `convTranspose2d` in conv.ts, for images of few
 * channels: at most 2,048 products per pixel.
 * @param packed room for outputs · (kernelY · kernelX · inputs rounded up to 8) floats
 */
export function convTranspose2dNarrow(
  y: usize,
  weights: usize,
  bias: usize,
  x: usize,
  packed: usize,
  relu: i32,
): void {
  const s = changetype<Scatter>(job), g = geometry();
  s.y = y;
  s.weights = weights;
  s.bias = bias;
  s.x = x;
  s.packed = packed;
  s.relu = relu;
  s.columns = g.kernelY * g.kernelX * g.inputs;
  s.strips = (g.height + STRIP - 1) / STRIP;
  parallel(packTask, padded(s.columns) / COLUMNS);
  parallel(scatterTask, g.batch * s.strips);
}
