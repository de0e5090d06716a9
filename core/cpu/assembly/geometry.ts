/** The sizes of a convolution: x [batch, height, width, inputs] → y [batch, rows, columns, outputs]. */
import { job } from "./pool";
import { Patches } from "./patches";

/** A convolution's sizes, in the order in which the host writes them to `job`. */
@unmanaged
export class Geometry {
  batch: i32;
  height: i32;
  width: i32;
  inputs: i32;
  kernelY: i32;
  kernelX: i32;
  outputs: i32;
  rows: i32;
  columns: i32;
  strideY: i32;
  strideX: i32;
  paddingY: i32;
  paddingX: i32;
  dilationY: i32;
  dilationX: i32;
}

/** Where the host writes the geometry of a convolution. */
export function geometry(): Geometry {
  return changetype<Geometry>(job + 2048);
}

/** Describes the patches of x under a convolution's kernel. */
export function describePatches(p: Patches, g: Geometry, x: usize): void {
  p.images = x;
  p.height = g.height;
  p.width = g.width;
  p.channels = g.inputs;
  p.rows = g.rows;
  p.columns = g.columns;
  p.strideY = g.strideY;
  p.strideX = g.strideX;
  p.offsetY = -g.paddingY;
  p.offsetX = -g.paddingX;
  p.stepY = g.dilationY;
  cutSegments(p, g.kernelY, g.kernelX, g.dilationX);
}

/** Splits a patch of tapsY × tapsX taps into segments: kernel rows if taps are adjacent, else single taps. */
export function cutSegments(p: Patches, tapsY: i32, tapsX: i32, stepX: i32): void {
  p.segmentsY = tapsY;
  p.segmentsX = stepX == 1 ? 1 : tapsX;
  p.stepX = stepX;
  p.length = stepX == 1 ? tapsX * p.channels : p.channels;
}
