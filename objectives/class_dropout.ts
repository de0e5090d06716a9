/** Class dropout: hides the classes of random training images, as classifier-free guidance needs it (arXiv
 * 2207.12598). */
import { uniform } from "../core/functions/creation.ts";
import { less, where } from "../core/functions/elementwise.ts";
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { drawOwnRows, type Replicas } from "../nn/replicas.ts";

/** Options of `dropClasses`. */
export interface ClassDropoutOptions {
  /** The probability that a class is hidden. */
  readonly rate: number;
  /** The label that stands for no class. */
  readonly none: number;
  /** The key of the draws. */
  readonly key: RandomKey;
  /** The processes that share the batch. */
  readonly replicas: Replicas;
}

/** Replaces random labels by the one for no class.
 * @param labels int32 `[B]`
 * @returns int32 `[B]`
 */
export function dropClasses(
  labels: Tensor,
  { rate, none, key, replicas }: ClassDropoutOptions,
): Tensor {
  if (rate === 0) return labels;
  const { device, shape } = labels;
  const drawn = drawOwnRows(shape, replicas, (shape) => uniform(device, shape, key));
  return where(less(drawn, rate), none, labels);
}
