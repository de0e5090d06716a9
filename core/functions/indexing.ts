/** Functions that gather rows by index, sum by segment, and find nearest codes. */
import { apply } from "../execute.ts";
import type { Distance } from "../ops.ts";
import type { RandomKey } from "../random.ts";
import { sameShape, showShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./elementwise.ts";
import { reshape } from "./movement.ts";

/** The rows of a table at integer indices: `[R, D]` at int32 `[...]` → `[..., D]`; zeros for indices out of range.
 *
 * ```ts
 * import { gather, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const table = device.tensor([1, 2, 3, 4], [2, 2]);
 * const rows = gather(table, device.tensor(Int32Array.of(1, 1), [2]));
 * assert.deepEqual([...await rows.floats()], [3, 4, 3, 4]);
 * ```
 */
export function gather(table: Tensor, indices: Tensor): Tensor {
  const rows = apply("gather", [table, reshape(indices, [indices.size])], {});
  return reshape(rows, [...indices.shape, table.shape[1]]);
}

/** Sums of rows by segment: values `[..., D]`, indices int32 `[...]` → `[segments, D]`, added in order.
 * @throws {TypeError} the values' axes, except the last, do not match the indices
 */
export function segmentSum(values: Tensor, indices: Tensor, segments: number): Tensor {
  const width = values.shape[values.shape.length - 1] ?? 1;
  if (!sameShape(values.shape, [...indices.shape, width])) {
    throw new TypeError(
      `Cannot sum by segment: each row of the values needs one index, got values ${
        showShape(values.shape)
      } and indices ${showShape(indices.shape)}`,
    );
  }
  const rows = reshape(values, [indices.size, width]);
  return apply("segmentSum", [rows, reshape(indices, [indices.size])], { segments });
}

/** How often each of `segments` indices occurs: int32 `[...]` → int32 `[segments]`. */
export function segmentCount(indices: Tensor, segments: number): Tensor {
  return apply("segmentCount", [reshape(indices, [indices.size])], { segments });
}

/** Adds `updates` `[..., D]` to the rows of the table `[R, D]` at int32 `indices` `[...]`; returns a new tensor.
 * @throws {TypeError} the shapes do not match
 */
export function scatterAdd(table: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const width = updates.shape[updates.shape.length - 1];
  if (table.shape.length !== 2 || table.shape[1] !== width) {
    throw new TypeError(
      `Cannot scatter: the table must be [rows, D] and the updates [..., D], got ${
        showShape(table.shape)
      } and ${showShape(updates.shape)}`,
    );
  }
  return add(table, segmentSum(updates, indices, table.shape[0]));
}

/** Options of `nearest`. */
export interface NearestOptions {
  /** Smallest squared distance ("l2") or largest cosine ("cos"). */
  readonly distance: Distance;
  /** Draws each key with probability softmax(similarity) instead of taking the most similar one. */
  readonly noise?: RandomKey;
}

/** For each query the index of the nearest key: `[N, D]`, `[K, D]` → int32 `[N]`. Similarities are float32. On a tie,
 * the highest index wins (the last one in an ascending sort).
 *
 * `nearest(features, codebook)` finds the nearest codes, `nearest(codebook, features)` the nearest features. The N × K
 * matrix of similarities is never held in memory. With `noise`, Gumbel noise is added to the similarities, so that the
 * result is a sample from their softmax (the Gumbel-max trick).
 *
 * ```ts
 * import { nearest, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const codes = device.tensor([0, 0, 1, 1], [2, 2]);
 * const features = device.tensor([0.9, 0.8, 0.1, 0], [2, 2]);
 * assert.deepEqual([...await nearest(features, codes, { distance: "l2" }).integers()], [1, 0]);
 * ```
 * @throws {TypeError} the shapes do not match
 */
export function nearest(queries: Tensor, keys: Tensor, options: NearestOptions): Tensor {
  return apply("nearest", [queries, keys], options);
}
