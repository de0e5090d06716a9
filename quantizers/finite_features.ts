/** Features that are not finite. They get no code, and nothing is learned from them. */
import { assign, detach, withoutGradients } from "../core/execute.ts";
import {
  cast,
  greater,
  lessEqual,
  mul,
  notEqual,
  square,
  where,
} from "../core/functions/elementwise.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import { argmax, sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { maskFeatures, weighLosses } from "./masks.ts";

/** The largest squared length of a feature that counts as finite. Sums of many such squares do not overflow float32. */
const GREATEST_SQUARE = 1e30;

/** Finds the finite features: those with only finite values and a length of at most 1e15, so that distances and
 * statistics do not overflow float32.
 * @param features float32 `[..., D]`
 * @returns int32 `[...]`: 1 for a finite one, 0 for any other
 */
export function finiteRows(features: Tensor): Tensor {
  return withoutGradients(() => {
    const scope = features.device.scope();
    try { // not `using`, which the minifier of `deno bundle` drops where the next statement has its only use
      return scope.keep(lessEqual(sum(square(features), -1), GREATEST_SQUARE));
    } finally {
      scope[Symbol.dispose]();
    }
  });
}

/** A batch of features, with masks that tell which are finite and which are present. */
export interface SortedFeatures {
  /** float32 `[..., D]`: the features, zeros at the padding. */
  readonly values: Tensor;
  /** int32 `[...]`: 0 where a feature is not finite. */
  readonly finite: Tensor;
  /** int32 `[...]`: 1 where a feature is finite and not padding. */
  readonly present: Tensor;
}

/** Marks the features of a batch. Gradients pass everywhere except at the padding.
 * @param features float32 `[..., D]`
 * @param mask 0 at padding; undefined if there is no padding
 * @throws {TypeError} the mask does not have one value per feature
 */
export function sortFeatures(features: Tensor, mask: Tensor | undefined): SortedFeatures {
  const masked = maskFeatures(features, mask);
  const finite = finiteRows(masked);
  return {
    values: masked,
    finite,
    present: mask === undefined ? finite : mul(finite, notEqual(mask, 0)),
  };
}

/** Replaces rows that are not finite by NaN, so that a loss computed from them is NaN. Values are `[..., D]`.
 * @param finite int32 `[...]`
 */
export function markRows(values: Tensor, finite: Tensor): Tensor {
  return where(reshape(finite, [...finite.shape, 1]), values, NaN);
}

/** Counts the features that are not finite: an int32 scalar.
 * @param finite int32 `[...]`
 */
export function countNonFinite(finite: Tensor): Tensor {
  return reshape(slice(segmentCount(finite, 2), [0], [1]), []);
}

/** Whether any feature is present: int32 `[1]`.
 * @param present int32 `[...]`: 1 where there is one
 * @param replicas the processes whose features count; by default only this one
 */
export function isAny(present: Tensor, replicas: Replicas = SINGLE): Tensor {
  const counted = slice(segmentCount(notEqual(present, 0), 2), [1], [1]);
  return greater(replicas.sum(counted), 0);
}

/** Rows `[..., D]` that can be learned from. */
export interface UsableRows {
  /** int32 `[...]`: 0 for a row that is not finite. */
  readonly finite: Tensor;
  /** The rows, with zeros in place of those that are not finite. */
  readonly rows: Tensor;
  /** int32 `[...]`: 1 for a row that is finite and not masked. */
  readonly present: Tensor;
}

/** Finds the rows that can be learned from.
 * @param rows float32 `[..., D]`
 * @param mask 0 excludes a row
 * @throws {TypeError} the mask does not have one value per row
 */
export function usableRows(rows: Tensor, mask: Tensor | undefined): UsableRows {
  const { values, finite, present } = sortFeatures(rows, mask);
  return { rows: where(reshape(present, [...present.shape, 1]), values, 0), finite, present };
}

/** Replaces rows `[N, D]` that are not finite by one that is; zeros if none is. */
export function fillRows(rows: Tensor): Tensor {
  const usable = usableRows(rows, undefined);
  const stand = gather(usable.rows, reshape(argmax(cast(usable.present, "float32")), [1]));
  return where(reshape(usable.present, [rows.shape[0], 1]), rows, stand);
}

/** Assigns a new value to state if the batch holds a feature; otherwise leaves the state unchanged.
 * @param any int32 `[1]`
 */
export function assignIf(any: Tensor, state: Tensor, value: Tensor): void {
  assign(state, where(any, value, detach(state)));
}

/** The losses of a batch; 0 if all of it is padding. With several ranks they are weighted, so that their mean over the
 * ranks is the mean over all features.
 * @param losses scalars
 * @param mask 0 at padding; undefined if there is no padding
 */
export function lossesOfAny(
  losses: Readonly<Record<string, Tensor>>,
  mask: Tensor | undefined,
  replicas: Replicas = SINGLE,
): Record<string, Tensor> {
  if (mask === undefined) return { ...losses };
  const any = reshape(isAny(mask), []);
  const own = Object.entries(losses).map(([name, loss]) => [name, where(any, loss, 0)]);
  return weighLosses(Object.fromEntries(own), mask, replicas);
}
