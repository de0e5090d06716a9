/** Features that are not finite: they become no code, and nothing is learned from them. */
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

/** The greatest squared length of a feature that counts as finite: sums of many such squares stay in float32. */
const GREATEST_SQUARE = 1e30;

/** Which features are finite: every value is a number, and the length is at most 1e15, so that distances and statistics
 * stay in float32.
 * @param features float32 `[..., D]`
 * @returns int32 `[...]`: 1 for a finite one, 0 for any other
 */
export function finiteRows(features: Tensor): Tensor {
  return withoutGradients(() => {
    using scope = features.device.scope();
    return scope.keep(lessEqual(sum(square(features), -1), GREATEST_SQUARE));
  });
}

/** A batch of features, sorted into what there is. */
export interface SortedFeatures {
  /** float32 `[..., D]`: zeros at the padding. */
  readonly values: Tensor;
  /** int32 `[...]`: 0 where a feature is not finite. */
  readonly finite: Tensor;
  /** int32 `[...]`: 1 where there is a finite feature. */
  readonly present: Tensor;
}

/** Sorts a batch. Gradients pass to all but the padding.
 * @param features float32 `[..., D]`
 * @param mask 0 where there is padding; none without padding
 * @throws {TypeError} the mask does not have one value a feature
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

/** Values `[..., D]` with NaN in place of the rows that are not finite, so that a loss of them is NaN.
 * @param finite int32 `[...]`
 */
export function markRows(values: Tensor, finite: Tensor): Tensor {
  return where(reshape(finite, [...finite.shape, 1]), values, NaN);
}

/** How many features are not finite: an int32 scalar.
 * @param finite int32 `[...]`
 */
export function countNonFinite(finite: Tensor): Tensor {
  return reshape(slice(segmentCount(finite, 2), [0], [1]), []);
}

/** Whether there is a feature at all: int32 `[1]`.
 * @param present int32 `[...]`: 1 where there is one
 * @param replicas whose parts of a batch count; by default only this one
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

/** Tells which rows can be learned from.
 * @param rows float32 `[..., D]`
 * @param mask 0 leaves a row out
 * @throws {TypeError} the mask does not have one value a row
 */
export function usableRows(rows: Tensor, mask: Tensor | undefined): UsableRows {
  const { values, finite, present } = sortFeatures(rows, mask);
  return { rows: where(reshape(present, [...present.shape, 1]), values, 0), finite, present };
}

/** Rows `[N, D]` with one of those that are finite in place of every other; zeros where none is. */
export function fillRows(rows: Tensor): Tensor {
  const usable = usableRows(rows, undefined);
  const stand = gather(usable.rows, reshape(argmax(cast(usable.present, "float32")), [1]));
  return where(reshape(usable.present, [rows.shape[0], 1]), rows, stand);
}

/** Overwrites state with what a batch made of it, where the batch holds a feature; else leaves it as it is.
 * @param any int32 `[1]`
 */
export function assignIf(any: Tensor, state: Tensor, value: Tensor): void {
  assign(state, where(any, value, detach(state)));
}

/** The losses of a batch, 0 where all of it is padding; those of several ranks so that their mean is that over all
 * features.
 * @param losses scalars
 * @param mask 0 where there is padding; none without padding
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
