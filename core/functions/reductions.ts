/** Reductions over any axes. */
import { apply } from "../execute.ts";
import { resolveAxis, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { exp, mul, sub } from "./elementwise.ts";
import { reshape } from "./movement.ts";

/** One axis or several, counted from the start or (negative) from the end. */
export type Axes = number | readonly number[];

/** How a reduction gives its result. */
export interface ReductionOptions {
  /** Leaves the reduced axes as 1 instead of dropping them. */
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

/** Applies an associative canonical reduction to each run of neighbouring axes. */
function reduce(
  name: "sum" | "max" | "logsumexp",
  x: Tensor,
  axes: Axes | undefined,
  { keepAxes = false }: ReductionOptions,
): Tensor {
  const reduced = axesOf(x, axes, name);
  let current = x;
  let inner = 1;
  for (let end = x.shape.length; end > 0;) {
    let start = end;
    while (start > 0 && reduced.has(start - 1)) start--;
    if (start < end) {
      const outer = sizeOf(x.shape.slice(0, start));
      const count = sizeOf(x.shape.slice(start, end));
      current = apply(name, [reshape(current, [outer, count, inner])], {});
      end = start;
    } else {
      inner *= x.shape[end - 1];
      end--;
    }
  }
  const shape = keepAxes
    ? x.shape.map((length, axis) => reduced.has(axis) ? 1 : length)
    : x.shape.filter((_, axis) => !reduced.has(axis));
  return reshape(current, shape);
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

/** The maximum over some axes, by default all; the gradient is shared evenly among equal maxima. */
export function max(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  return reduce("max", x, axes, options);
}

/** ln Σ eˣ over some axes, by default all, computed from the maximum so that it does not overflow. */
export function logsumexp(x: Tensor, axes?: Axes, options: ReductionOptions = {}): Tensor {
  return reduce("logsumexp", x, axes, options);
}

/** The lowest index of the greatest element along an axis, int32. */
export function argmax(x: Tensor, axis = -1): Tensor {
  const at = resolveAxis(axis, x.shape.length, "take the argmax");
  const shape = x.shape.filter((_, index) => index !== at);
  return reshape(apply("argmax", [around(x, at)], {}), shape);
}

/** The element of ascending rank `rank` (0 is the least) along an axis; NaN ranks last. Gradients do not pass. */
export function kthValue(x: Tensor, rank: number, axis = -1): Tensor {
  const at = resolveAxis(axis, x.shape.length, "take the element of a rank");
  const shape = x.shape.filter((_, index) => index !== at);
  return reshape(apply("kthValue", [around(x, at)], { rank }), shape);
}

/** eˣ / Σ eˣ over some axes, by default the last. */
export function softmax(x: Tensor, axes: Axes = -1): Tensor {
  const over = [...axesOf(x, axes, "take the softmax")];
  if (over.length === 1) return reshape(apply("softmax", [around(x, over[0])], {}), x.shape);
  return exp(sub(x, logsumexp(x, over, { keepAxes: true })));
}

function around(x: Tensor, axis: number): Tensor {
  const outer = sizeOf(x.shape.slice(0, axis));
  return reshape(x, [outer, x.shape[axis], sizeOf(x.shape.slice(axis + 1))]);
}
