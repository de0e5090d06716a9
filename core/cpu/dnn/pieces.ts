/** Splits a convolution into pieces that threads compute independently: some images each, or a band of an image's rows.
 * The split does not depend on the number of threads, so the results do not either.
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
  /** The number of images; if more than 1, the piece has all their rows. */
  readonly images: number;
  /** The rows of x. */
  readonly x: Band;
  /** The rows of y. */
  readonly y: Band;
  /** Rows of padding above those of x. */
  readonly low: number;
  /** Rows of padding below those of x; negative if y does not reach the last rows. */
  readonly high: number;
}

/** The maximum number of pieces of a convolution. */
export const MOST_PIECES = 32;
/** The minimum number of floating-point operations per piece. */
const WORTH = 4e6;
/** The minimum number of rows of y in a band. */
const FEWEST_ROWS = 8;
/** The number of pixels of y that are summed into one partial filter gradient. */
const FILTER_PIXELS = 1024;
/** The maximum memory in bytes for the gradients of pieces, if there are more than four. */
const FILTER_BYTES = 1 << 25;

const kernelRows = ({ w, dilation }: Geometry): number => (w[0] - 1) * dilation[0] + 1;

/** The best number of pieces. */
function wanted(direction: Direction, { w, y }: Geometry): number {
  const pixels = y[0] * y[1] * y[2], floats = sizeOf(w);
  const byWork = Math.min(MOST_PIECES, Math.floor(2 * pixels * floats / WORTH));
  if (direction !== "filter") return Math.max(1, byWork);
  const byMemory = Math.max(4, Math.floor(FILTER_BYTES / (4 * floats)));
  return Math.max(1, Math.min(byWork, Math.floor(pixels / FILTER_PIXELS), byMemory));
}

/** A piece with rows [first, last) of y of one image, and all the rows of x that they depend on. */
function ofResults(geometry: Geometry, image: number, first: number, last: number): Piece {
  const { x: { 1: height }, stride: [stride], padding: [padding] } = geometry;
  const top = first * stride - padding;
  const bottom = (last - 1) * stride - padding + kernelRows(geometry);
  const x = { first: Math.max(0, top), last: Math.min(height, bottom) };
  return { image, images: 1, x, y: { first, last }, low: x.first - top, high: bottom - x.last };
}

/** A piece with rows [first, last) of x of one image, and all the rows of y that depend on them. */
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

/** Splits a convolution or one of its gradients. For the gradient of the images, no two pieces share a row of x;
 * otherwise no two share a row of y.
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
