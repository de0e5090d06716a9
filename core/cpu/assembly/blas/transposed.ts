/** Transposed convolutions by BLAS: y as it lies, times the filter transposed, is what every pixel of y adds to a patch
 * of x. Each task has rows of x of its own, so every sum has its order.
 */
import { job, parallel, scratch } from "../pool";
import { describePatches, geometry } from "../geometry";
import { locate, Patches } from "../patches";
import { finish } from "./finish";
import { evenStep, gemm, rowsOfTile, TILE, TILE_ROWS } from "./gemm";
import { addPatches } from "./patches";

/** Pixels of y that make a task of several images. */
const TASK_PIXELS: i32 = 128;
/** Most floats of a patch that are multiplied at once. */
const BLOCK_DEPTH: i32 = 512;

@unmanaged
class Transposed extends Patches {
  y: usize;
  filter: usize;
  bias: usize; // 0: none
  relu: i32;
  batch: i32;
  depth: i32;
  step: i32; // how much of the depth is multiplied at once
  outputs: i32; // channels of y
  imagesPerTask: i32;
  bands: i32; // into how many bands of rows an image is cut, if a task has one image
  bandRows: i32;
}

/** ⌈a / b⌉, at least 0 */
function ceilDivide(a: i32, b: i32): i32 {
  return a <= 0 ? 0 : (a + b - 1) / b;
}

/** Adds to rows [top, bottom) floats [k, k + length) of patches [first, first + count). */
function spread(
  t: Transposed,
  first: i32,
  count: i32,
  k: i32,
  length: i32,
  top: i32,
  bottom: i32,
): void {
  const rows = rowsOfTile(t.step), w = t.filter + (<usize> (k * t.outputs) << 2);
  for (let done = 0; done < count; done += rows) {
    const at = first + done, height = min(rows, count - done);
    const y = t.y + (<usize> (at * t.outputs) << 2), patches = scratch + TILE;
    gemm(0, 1, height, length, t.outputs, y, t.outputs, w, t.outputs, 0, patches, length);
    locate(t, at, height);
    addPatches(t, patches, height, k, length, top, bottom);
  }
}

function transposeTask(index: i32): void {
  const t = changetype<Transposed>(job);
  const image = index / t.bands * t.imagesPerTask;
  const images = min(t.imagesPerTask, t.batch - image);
  const top = index % t.bands * t.bandRows, bottom = min(top + t.bandRows, t.height);
  const pixels = images * (bottom - top) * t.width;
  const x = t.images + (<usize> ((image * t.height + top) * t.width * t.channels) << 2);
  memory.fill(x, 0, <usize> (pixels * t.channels) << 2);
  for (let k = 0; k < t.depth; k += t.step) {
    const length = min(t.step, t.depth - k);
    let first = 0, last = t.rows;
    if (t.bands > 1) {
      // Rows of y that reach the band: their first row of x, offset + y·stride, lies at most this far above it.
      const nearest = t.offsetY + k / t.length / t.segmentsX * t.stepY;
      const farthest = t.offsetY + (k + length - 1) / t.length / t.segmentsX * t.stepY;
      first = ceilDivide(top - farthest, t.strideY);
      last = min(last, ceilDivide(bottom - nearest, t.strideY));
    }
    const rows = (images - 1) * t.rows + last - first;
    if (last <= first) continue;
    spread(t, (image * t.rows + first) * t.columns, rows * t.columns, k, length, top, bottom);
  }
  finish(x, pixels, t.channels, t.bias, t.relu);
}

/** x = the adjoint of conv2d applied to y (+ bias, then relu), of the geometry in `geometry()`.
 * @param bias its address, 0 for none
 */
export function blasConvTranspose2d(y: usize, w: usize, bias: usize, x: usize, relu: i32): void {
  const g = geometry(), t = changetype<Transposed>(job);
  describePatches(t, g, x);
  t.y = y;
  t.filter = w;
  t.bias = bias;
  t.relu = relu;
  t.batch = g.batch;
  t.depth = g.kernelY * g.kernelX * g.inputs;
  t.step = evenStep(t.depth, BLOCK_DEPTH);
  t.outputs = g.outputs;
  const pixels = g.rows * g.columns;
  t.imagesPerTask = max(1, TASK_PIXELS / pixels);
  t.bandRows = (g.height + pixels / TILE_ROWS) / (pixels / TILE_ROWS + 1);
  t.bands = (g.height + t.bandRows - 1) / t.bandRows;
  parallel(transposeTask, (g.batch + t.imagesPerTask - 1) / t.imagesPerTask * t.bands);
}
