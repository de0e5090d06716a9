/** The gradient of a convolution's filter by BLAS: patches, transposed, times the gradient of the output. */
import { job, parallel, scratch } from "../pool";
import { describePatches, geometry } from "../geometry";
import { locate, Patches } from "../patches";
import { evenStep, gemm, TILE, TILE_ROWS } from "./gemm";
import { sumParts } from "../parts";
import { copyPatches } from "./patches";

/** Most floats of a patch that a task has. */
const BLOCK_DEPTH: i32 = 512;
const ENOUGH_TASKS: i32 = 24;

@unmanaged
class FilterGradient extends Patches {
  gradient: usize;
  output: usize; // the filter, or the parts
  patches: i32;
  depth: i32;
  step: i32; // of the depth, a task
  blocks: i32; // of the depth
  outputs: i32; // channels
  splitPatches: i32;
}

function gradientTask(index: i32): void {
  const p = changetype<FilterGradient>(job);
  const split = index / p.blocks, k = index % p.blocks * p.step;
  const length = min(p.step, p.depth - k);
  const first = split * p.splitPatches, last = min(first + p.splitPatches, p.patches);
  const w = p.output + (<usize> ((split * p.depth + k) * p.outputs) << 2);
  for (let patch = first; patch < last; patch += TILE_ROWS) {
    const count = min(TILE_ROWS, last - patch), patches = scratch + TILE;
    locate(p, patch, count);
    copyPatches(p, patches, count, k, length);
    const gradient = p.gradient + (<usize> (patch * p.outputs) << 2), add = <i32> (patch > first);
    gemm(1, 0, length, p.outputs, count, patches, length, gradient, p.outputs, add, w, p.outputs);
  }
}

/** Into how many parts the patches are cut, of the geometry in `geometry()`: as many filters of room are needed
 * for `partials`, if it is more than 1. */
export function blasFilterSplits(): i32 {
  const g = geometry(), depth = g.kernelY * g.kernelX * g.inputs;
  const blocks = (depth + BLOCK_DEPTH - 1) / BLOCK_DEPTH;
  const tiles = (g.batch * g.rows * g.columns + TILE_ROWS - 1) / TILE_ROWS;
  return max(1, min((ENOUGH_TASKS + blocks - 1) / blocks, tiles / 2));
}

/** w = the gradient of conv2d's filter, from its input and the gradient of its output. */
export function blasConv2dFilter(x: usize, gradient: usize, w: usize, partials: usize): void {
  const g = geometry(), p = changetype<FilterGradient>(job);
  describePatches(p, g, x);
  p.gradient = gradient;
  p.patches = g.batch * g.rows * g.columns;
  p.depth = g.kernelY * g.kernelX * g.inputs;
  p.step = evenStep(p.depth, BLOCK_DEPTH);
  p.blocks = (p.depth + p.step - 1) / p.step;
  p.outputs = g.outputs;
  const tiles = (p.patches + TILE_ROWS - 1) / TILE_ROWS, wanted = blasFilterSplits();
  p.splitPatches = (tiles + wanted - 1) / wanted * TILE_ROWS;
  const splits = (p.patches + p.splitPatches - 1) / p.splitPatches;
  p.output = splits == 1 ? w : partials;
  parallel(gradientTask, p.blocks * splits);
  if (splits > 1) sumParts(partials, w, p.depth * p.outputs, splits);
}
