/** Convolutions by BLAS: patches, laid below each other in scratch memory, times the filter as it lies. */
import { job, parallel, scratch } from "../pool";
import { describePatches, geometry } from "../geometry";
import { locate, Patches } from "../patches";
import { finish } from "./finish";
import { evenStep, gemm, rowsOfTile, TILE } from "./gemm";
import { copyPatches } from "./patches";

/** Most floats of a patch that are multiplied at once. */
const BLOCK_DEPTH: i32 = 2048;

@unmanaged
class Convolution extends Patches {
  output: usize;
  filter: usize;
  bias: usize; // 0: none
  relu: i32;
  patches: i32;
  depth: i32;
  step: i32; // how much of the depth is multiplied at once
  outputs: i32; // channels
  rowsPerTask: i32;
  pixels: i32; // whether the patches are the images' pixels, one after another
}

function convolveTask(index: i32): void {
  const c = changetype<Convolution>(job);
  const first = index * c.rowsPerTask, count = min(c.rowsPerTask, c.patches - first);
  const y = c.output + (<usize> (first * c.outputs) << 2);
  if (!c.pixels) locate(c, first, count);
  for (let k = 0; k < c.depth; k += c.step) {
    const length = min(c.step, c.depth - k);
    let patches = c.images + (<usize> (first * c.depth + k) << 2), stride = c.depth;
    if (!c.pixels) {
      patches = scratch + TILE;
      stride = length;
      copyPatches(c, patches, count, k, length);
    }
    const w = c.filter + (<usize> (k * c.outputs) << 2), add = <i32> (k > 0);
    gemm(0, 0, count, c.outputs, length, patches, stride, w, c.outputs, add, y, c.outputs);
  }
  finish(y, count, c.outputs, c.bias, c.relu);
}

/** y = x ∗ w (+ bias, then relu), of the geometry in `geometry()`.
 * @param bias its address, 0 for none
 */
export function blasConv2d(x: usize, w: usize, bias: usize, y: usize, relu: i32): void {
  const g = geometry(), c = changetype<Convolution>(job);
  describePatches(c, g, x);
  c.output = y;
  c.filter = w;
  c.bias = bias;
  c.relu = relu;
  c.patches = g.batch * g.rows * g.columns;
  c.depth = g.kernelY * g.kernelX * g.inputs;
  c.step = evenStep(c.depth, BLOCK_DEPTH);
  c.outputs = g.outputs;
  c.rowsPerTask = rowsOfTile(c.step);
  c.pixels = <i32> (c.depth == g.inputs && g.strideY == 1 && g.strideX == 1 &&
    g.paddingY == 0 && g.paddingX == 0);
  parallel(convolveTask, (c.patches + c.rowsPerTask - 1) / c.rowsPerTask);
}
