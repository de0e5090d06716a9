/** How a convolution is cut into pieces that threads compute by themselves: some images each, or a band of an image's
 * rows. The number of threads does not matter, so neither do the results depend on it.
 */
import type { ConvAttributes } from "../../ops.ts";
import { type Shape, sizeOf } from "../../shape.ts";
import type { Direction } from "./primitives.ts";

/** The shapes of a convolution of x with w to y, and its window. */
export interface Geometry extends ConvAttributes {
  readonly x: Shape;
  readonly w: Shape;
  readonly y: Shape;
}

/** Rows [first, last). */
export interface Band {
  readonly first: number;
  readonly last: number;
}

/** A part of a convolution. */
export interface Piece {
  /** Its first image. */
  readonly image: number;
  /** How many it has; if more than 1, all their rows. */
  readonly images: number;
  /** The rows of x. */
  readonly x: Band;
  /** The rows of y. */
  readonly y: Band;
  /** Rows of padding above those of x. */
  readonly low: number;
  /** And below them; negative where y does not reach the last ones. */
  readonly high: number;
}

/** The most pieces that a convolution is cut into. */
export const MOST_PIECES = 32;
/** Floating-point operations that are worth a piece. */
const WORTH = 4e6;
/** The fewest rows of y in a band. */
const FEWEST_ROWS = 8;
/** Pixels of y for which the gradient of a filter is summed before it is added to others. */
const FILTER_PIXELS = 1024;
/** Bytes that the gradients of pieces may take, if there are more than four. */
const FILTER_BYTES = 1 << 25;

const kernelRows = ({ w, dilation }: Geometry): number => (w[0] - 1) * dilation[0] + 1;

/** Into how many pieces it is best cut. */
function wanted(direction: Direction, { w, y }: Geometry): number {
  const pixels = y[0] * y[1] * y[2], floats = sizeOf(w);
  const byWork = Math.min(MOST_PIECES, Math.floor(2 * pixels * floats / WORTH));
  if (direction !== "filter") return Math.max(1, byWork);
  const byMemory = Math.max(4, Math.floor(FILTER_BYTES / (4 * floats)));
  return Math.max(1, Math.min(byWork, Math.floor(pixels / FILTER_PIXELS), byMemory));
}

/** A piece with rows [first, last) of y, of one image, and all the rows of x that they are made of. */
function ofResults(geometry: Geometry, image: number, first: number, last: number): Piece {
  const { x: { 1: height }, stride: [stride], padding: [padding] } = geometry;
  const top = first * stride - padding;
  const bottom = (last - 1) * stride - padding + kernelRows(geometry);
  const x = { first: Math.max(0, top), last: Math.min(height, bottom) };
  return { image, images: 1, x, y: { first, last }, low: x.first - top, high: bottom - x.last };
}

/** A piece with rows [first, last) of x, of one image, and all the rows of y that they make. */
function ofImages(geometry: Geometry, image: number, first: number, last: number): Piece {
  const { y: { 1: rows }, stride: [stride], padding: [padding] } = geometry;
  const size = kernelRows(geometry);
  const y = {
    first: Math.max(0, Math.ceil((first + padding - size + 1) / stride)),
    last: Math.min(rows, Math.floor((last - 1 + padding) / stride) + 1),
  };
  const low = first + padding - y.first * stride;
  const high = (y.last - 1) * stride - padding + size - last;
  return { image, images: 1, x: { first, last }, y, low, high };
}

/** Cuts a convolution, or one of its gradients. Of the gradient by the images the pieces have no row of x in common, of
 * the others none of y.
 *
 * ```ts
 * import { cut } from "./pieces.ts";
 * import assert from "node:assert/strict";
 * const window = { stride: [1, 1], padding: [1, 1], dilation: [1, 1] } as const;
 * const shapes = { x: [40, 16, 16, 64], w: [3, 3, 64, 64], y: [40, 16, 16, 64] };
 * const pieces = cut("forward", { ...shapes, ...window });
 * assert.deepEqual(pieces.map(({ images }) => images), Array(20).fill(2));
 * ```
 */
export function cut(direction: Direction, geometry: Geometry): readonly Piece[] {
  const { x, y, stride: [stride], padding: [padding] } = geometry;
  const batch = x[0], count = wanted(direction, geometry);
  const perPiece = Math.max(1, Math.ceil(batch / count));
  const starts = Array.from(
    { length: Math.ceil(batch / perPiece) },
    (_, index) => index * perPiece,
  );
  const bands = Math.min(Math.floor(count / batch), Math.floor(y[1] / FEWEST_ROWS));
  if (bands <= 1 || stride > kernelRows(geometry)) {
    const high = (y[1] - 1) * stride + kernelRows(geometry) - padding - x[1];
    const whole = { x: { first: 0, last: x[1] }, y: { first: 0, last: y[1] }, low: padding, high };
    return starts.map((image) => ({ ...whole, image, images: Math.min(perPiece, batch - image) }));
  }
  const byImages = direction === "images", rows = byImages ? x[1] : y[1];
  const step = Math.ceil(rows / bands / stride) * stride;
  const firsts = Array.from({ length: Math.ceil(rows / step) }, (_, index) => index * step);
  const piece = byImages ? ofImages : ofResults;
  return starts.flatMap((image) =>
    firsts.map((first) => piece(geometry, image, first, Math.min(first + step, rows)))
  );
}
