/** Reductions over any axes. */
import { apply } from "../execute.ts";
import { resolveAxis, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { mul } from "./elementwise.ts";
import { reshape, transpose } from "./movement.ts";

/** One axis or several, counted from the start or (negative) from the end. */
export type Axes = number | readonly number[];

/** Options of a reduction. */
export interface ReductionOptions {
  /** Whether to keep the reduced axes with length 1 instead of dropping them. */
  readonly keepAxes?: boolean;
}

function axesOf(x: Tensor, axes: Axes | undefined, action: string): Set<number> {
  const rank = x.shape.length;
  const list = axes === undefined
    ? x.shape.map((_, axis) => axis)
    : typeof axes === "number"
    ? [axes]
    : axes;
  return new Set(list.map((axis) => resolveAxis(axis, rank, action)));
}

/** Reshapes x to `[outer, count, inner]`, where `count` runs over the axes of `over`. If those are not adjacent, the
 * permutation `order` first moves them to the end. */
function alongMiddle(
  x: Tensor,
  over: ReadonlySet<number>,
): { readonly rows: Tensor; readonly order?: readonly number[] } {
  const axes = x.shape.map((_, axis) => axis);
  const kept = axes.filter((axis) => !over.has(axis));
  const reduced = axes.filter((axis) => over.has(axis));
  const [start = axes.length] = reduced;
  if (reduced.every((axis, index) => axis === start + index)) {
    const count = sizeOf(x.shape.slice(start, start + reduced.length));
    const outer = sizeOf(x.shape.slice(0, start));
    return { rows: reshape(x, [outer, count, x.size / (outer * count)]) };
  }
  const order = [...kept, ...reduced];
  const outer = sizeOf(kept.map((axis) => x.shape[axis]));
  return { rows: reshape(transpose(x, order), [outer, x.size / outer, 1]), order };
}

function reduce(
  name: "sum" | "max" | "logsumexp",
  x: Tensor,
  axes: Axes | undefined,
  { keepAxes = false }: ReductionOptions,
): Tensor {
  const over = axesOf(x, axes, name);
  const shape = keepAxes
    ? x.shape.map((length, axis) => over.has(axis) ? 1 : length)
    : x.shape.filter((_, axis) => !over.has(axis));
  return reshape(apply(name, [alongMiddle(x, over).rows], {}), shape);
}

/** The sum over some axes, by default all.
 *
 * ```ts
 * import { openDevice, sum } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = device.tensor([1, 2, 3, 4], [2, 2]);
 * assert.deepEqual([...await sum(x, 0).floats()], [4, 6]);
 * ```
 * @throws {RangeError} there is no such axis
 */
export function sum(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  return reduce("sum", x, axes, options);
}

/** The mean over some axes, by default all. */
export function mean(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  const total = reduce("sum", x, axes, options);
  return mul(total, total.size / x.size);
}

/** The maximum over some axes, by default all. Equal maxima share the gradient evenly. */
export function max(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  return reduce("max", x, axes, options);
}

/** ln Σ eˣ over some axes, by default all, computed from the maximum so that it does not overflow. */
export function logsumexp(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  return reduce("logsumexp", x, axes, options);
}

/** The lowest index of the maximum along an axis, int32. */
export function argmax(x: Tensor, axis = -1): Tensor {
  const at = resolveAxis(axis, x.shape.length, "take the argmax");
  const shape = x.shape.filter((_, index) => index !== at);
  return reshape(apply("argmax", [alongMiddle(x, new Set([at])).rows], {}), shape);
}

/** The element of ascending rank `rank` (0 is the smallest) along an axis; NaN ranks last. Gradients do not pass. */
export function kthValue(x: Tensor, rank: number, axis = -1): Tensor {
  const at = resolveAxis(axis, x.shape.length, "take the k-th value");
  const shape = x.shape.filter((_, index) => index !== at);
  return reshape(apply("kthValue", [alongMiddle(x, new Set([at])).rows], { rank }), shape);
}

/** eˣ / Σ eˣ over some axes, by default the last. */
export function softmax(x: Tensor, axes: Axes = -1): Tensor {
  const { rows, order } = alongMiddle(x, axesOf(x, axes, "take the softmax"));
  const shares = apply("softmax", [rows], {});
  if (order === undefined) return reshape(shares, x.shape);
  const moved = reshape(shares, order.map((axis) => x.shape[axis]));
  return transpose(moved, x.shape.map((_, axis) => order.indexOf(axis)));
}
