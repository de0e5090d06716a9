/** k-means, for codes that start where the features are. */
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

/** How k-means is run. */
export interface KMeansOptions {
  /** K: how many means. */
  readonly count: number;
  /** How nearness is measured; the means are those of the rows as they are. */
  readonly distance: Distance;
  /** Of the rows that it starts from. */
  readonly key: RandomKey;
  /** int32 `[N]`: 0 leaves a row out, as one that is not finite always is. */
  readonly mask?: Tensor;
  /** Whether it starts from rows that are far from each other (`kmeansPlusPlus`), or from any. */
  readonly spread?: boolean;
  /** Passes of Lloyd's algorithm, 10. */
  readonly iterations?: number;
}

/** The k-means of rows by Lloyd's algorithm, on the device: no N × K matrix, nothing read back.
 *
 * It starts from K different rows, uniformly drawn or spread (k-means++); a mean that no row is nearest to stays where
 * it is. With more means than rows, rows serve again; so that two means are never the same, each start is moved by
 * normal noise of a thousandth of the rows' deviation.
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
