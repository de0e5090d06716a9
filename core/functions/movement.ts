/** Functions that move data, for any dtype. */
import { apply } from "../execute.ts";
import type { Pair, PoolAttributes } from "../ops.ts";
import { resolveAxis, type Shape, showShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** The same elements in another shape; one axis may be −1 (inferred). No data are copied.
 *
 * ```ts
 * import { openDevice, reshape } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * assert.deepEqual(reshape(device.tensor([1, 2, 3, 4], [4]), [2, -1]).shape, [2, 2]);
 * ```
 * @throws {TypeError} the shape has a different number of elements
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, length) => length === -1 ? product : product * length, 1);
  const resolved = shape.map((length) => length === -1 ? x.size / known : length);
  return apply("reshape", [x], { shape: resolved });
}

/** Permutes the axes: output axis i is input axis permutation[i]. By default the order is reversed. */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const reversed = x.shape.map((_, axis) => x.shape.length - 1 - axis);
  return apply("transpose", [x], { permutation: permutation ?? reversed });
}

/** Takes the block of `sizes` elements from `starts`.
 * @throws {RangeError} the block does not lie within x
 */
export function slice(x: Tensor, starts: readonly number[], sizes: readonly number[]): Tensor {
  return apply("slice", [x], { starts, sizes });
}

/** Concatenates tensors along an axis.
 * @throws {TypeError} they differ on another axis
 */
export function concatenate(parts: readonly [Tensor, ...Tensor[]], axis = 0): Tensor {
  return apply("concatenate", parts, {
    axis: resolveAxis(axis, parts[0].shape.length, "concatenate"),
  });
}

/** Stacks scalars or tensors of the same shape along a new first axis. */
export function stack(parts: readonly [Tensor, ...Tensor[]]): Tensor {
  const [first, ...rest] = parts.map((part) => reshape(part, [1, ...part.shape]));
  return concatenate([first, ...rest], 0);
}

/** Pads x with `value`: before[i] and after[i] elements on axis i. */
export function pad(
  x: Tensor,
  before: readonly number[],
  after: readonly number[],
  value = 0,
): Tensor {
  return apply("pad", [x], { before, after, value });
}

/** Repeats x to a larger shape, aligned at the last axis.
 * @throws {TypeError} x does not broadcast to the shape
 */
export function broadcast(x: Tensor, shape: Shape): Tensor {
  return apply("broadcast", [x], { shape });
}

/** Enlarges images `[B, H, W, C]` by repeating pixels. */
export function upsampleNearest(images: Tensor, scale: number | Pair): Tensor {
  return apply("upsampleNearest", [images], {
    scale: typeof scale === "number" ? [scale, scale] : scale,
  });
}

/** Options of `averagePool` and `maxPool`. */
export interface PoolOptions {
  /** The step in input pixels between neighbouring outputs; by default the size of the window. */
  readonly stride?: number | Pair;
  /** Pixels around the images. They count as zeros in an average, and are never the maximum. */
  readonly padding?: number | Pair;
}

/** The means of windows of images `[B, H, W, C]`. */
export function averagePool(
  images: Tensor,
  size: number | Pair,
  options: PoolOptions = {},
): Tensor {
  return apply("averagePool", [images], poolAttributes(size, options));
}

/** The maxima of windows of images `[B, H, W, C]`; the gradient goes to the first maximum of each window.
 *
 * ```ts
 * import { maxPool, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const images = device.tensor([1, 5, 2, 4], [1, 2, 2, 1]);
 * assert.equal(await maxPool(images, 2).item(), 5);
 * ```
 * @throws {RangeError} the padding is more than half the window
 */
export function maxPool(
  images: Tensor,
  size: number | Pair,
  options: PoolOptions = {},
): Tensor {
  return apply("maxPool", [images], poolAttributes(size, options));
}

function poolAttributes(
  size: number | Pair,
  { stride = size, padding = 0 }: PoolOptions,
): PoolAttributes {
  const pair = (value: number | Pair): Pair => typeof value === "number" ? [value, value] : value;
  return { size: pair(size), stride: pair(stride), padding: pair(padding) };
}

/** Views x as `[rows, D]` by its last axis.
 * @throws {TypeError} the last axis is not D
 */
export function toRows(x: Tensor, width: number, action: string): Tensor {
  if (x.shape.at(-1) !== width) {
    throw new TypeError(
      `Cannot ${action}: the last axis must be ${width}, got shape ${showShape(x.shape)}`,
    );
  }
  return reshape(x, [sizeOf(x.shape) / width, width]);
}
