/** k-means, for the initialisation of codes. */
import {
  add,
  cast,
  div,
  greater,
  maximum,
  mul,
  sqrt,
  square,
  sub,
  where,
} from "../core/functions/elementwise.ts";
import { normal } from "../core/functions/creation.ts";
import { nearest, segmentCount, segmentSum } from "../core/functions/indexing.ts";
import { reshape } from "../core/functions/movement.ts";
import { mean } from "../core/functions/reductions.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { usableRows } from "./finite_features.ts";
import { maskIndices } from "./masks.ts";
import { randomRows } from "./replacement.ts";
import { kmeansPlusPlus } from "./kmeans_plus_plus.ts";

/** Options of `kMeans`. */
export interface KMeansOptions {
  /** K: the number of means. */
  readonly count: number;
  /** The distance that assigns rows to means. The means are taken over the rows without normalisation. */
  readonly distance: Distance;
  /** Key for the choice of the initial rows. */
  readonly key: RandomKey;
  /** int32 `[N]`: 0 excludes a row. Rows that are not finite are always excluded. */
  readonly mask?: Tensor;
  /** Whether to start from k-means++ (`kmeansPlusPlus`) instead of uniformly drawn rows. */
  readonly spread?: boolean;
  /** Iterations of Lloyd's algorithm, by default 10. */
  readonly iterations?: number;
}

/** k-means by Lloyd's algorithm, on the device. It needs no N × K matrix and reads nothing back.
 *
 * It starts from K different rows, drawn uniformly or by k-means++. A mean without any rows stays where it is. With
 * more means than rows, rows repeat. Normal noise of a thousandth of the rows' standard deviation is added to each
 * initial mean, so that no two are equal.
 *
 * ```ts
 * import { kMeans, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const rows = device.tensor([0, 1, 8, 9], [4, 1]);
 * const means = kMeans(rows, { count: 2, distance: "l2", key: randomKey(1, "means") });
 * console.log(await means.floats()); // 0.5 and 8.5, in some order
 * ```
 * @param given the rows, float32 `[N, D]`
 * @returns float32 `[K, D]`; zeros where no row is finite
 */
export function kMeans(
  given: Tensor,
  { count, distance, key, mask, spread = false, iterations = 10 }: KMeansOptions,
): Tensor {
  const { device, shape: [, width] } = given;
  using scope = device.scope();
  const { rows, present } = usableRows(given, mask);
  const deviation = sqrt(mean(square(sub(rows, mean(rows, 0)))));
  const noise = mul(normal(device, [count, width], partKey(key, 1)), mul(deviation, 1e-3));
  const start = spread
    ? kmeansPlusPlus(given, count, distance, partKey(key, 0), mask)
    : randomRows(given, count, partKey(key, 0), mask);
  let means = add(start, noise);
  for (let pass = 0; pass < iterations; pass++) {
    using once = device.scope();
    const indices = maskIndices(nearest(rows, means, { distance }), present);
    const sizes = reshape(cast(segmentCount(indices, count), "float32"), [count, 1]);
    const centres = div(segmentSum(rows, indices, count), maximum(sizes, 1));
    const moved = once.keep(where(greater(sizes, 0), centres, means));
    means.dispose();
    means = moved;
  }
  return scope.keep(means);
}
