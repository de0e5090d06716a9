/** Measures how well a set of generated samples matches a set of real ones: precision and recall (Kynkäänniemi et al.
 * 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, arXiv 2002.09797). */
import type { Device } from "../core/tensor.ts";
import {
  exactSquare,
  prepareFeatures,
  type ProductFeatures,
  visitPairs,
} from "./distance_bounds.ts";
import type { Features } from "./kernel_distance.ts";

/** How a set of generated features matches a set of real ones. */
export interface NeighbourhoodMetrics {
  /** The fraction of generated features inside the ball of some real feature, in [0, 1]. It measures whether samples are
   * realistic. */
  readonly precision: number;
  /** The fraction of real features inside the ball of some generated feature, in [0, 1]. It measures whether samples
   * cover the whole variety. */
  readonly recall: number;
  /** The average number of real features' balls that contain a generated feature, divided by k. It is at least 0, and
   * about 1 for sets from the same distribution. It is like precision, but less sensitive to outliers among the real
   * features. */
  readonly density: number;
  /** The fraction of real features whose ball contains some generated feature, in [0, 1]. It is like recall, but less
   * sensitive to outliers among the generated features. */
  readonly coverage: number;
}

/** Options of `neighbourhoodMetrics`. */
export interface NeighbourhoodOptions {
  /** k: a feature's ball reaches to its k-th nearest neighbour in its own set, including the boundary. */
  readonly neighbours?: number;
}

const ACTION = "measure precision and recall";

/** Compares generated features with real ones. Around each feature there is a ball that reaches to its k-th nearest
 * neighbour in its own set (another feature, which may have the same values). The distances are Euclidean and exact:
 * every comparison has the same outcome as with float64 sums over all pairs. Apart from the features, memory does not
 * grow with their number.
 *
 * ```ts
 * import { neighbourhoodMetrics, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const set = (...values: number[]) => ({ values: Float32Array.from(values), count: values.length });
 * const real = set(0, 1, 2, 3), generated = set(0.5, 1.5, 2.6, 99);
 * const { precision, coverage } = await neighbourhoodMetrics(device, real, generated, { neighbours: 1 });
 * assert.deepEqual([precision, coverage], [0.75, 1]); // 99 is far from every real feature.
 * ```
 * @param real `[N, D]`
 * @param generated `[M, D]`
 * @throws {TypeError} the features differ in length
 * @throws {RangeError} k is not positive, a set has fewer than k + 1 features, or a value is not finite
 */
export async function neighbourhoodMetrics(
  device: Device,
  real: Features,
  generated: Features,
  { neighbours = 3 }: NeighbourhoodOptions = {},
): Promise<NeighbourhoodMetrics> {
  if (!Number.isInteger(neighbours) || neighbours < 1) {
    throw new RangeError(
      `Cannot ${ACTION}: k must be an integer of at least 1, got ${neighbours}`,
    );
  }
  for (const [name, { count }] of Object.entries({ real, generated })) {
    if (!(count > neighbours)) {
      throw new RangeError(
        `Cannot ${ACTION}: with k = ${neighbours} there must be at least ${
          neighbours + 1
        } ${name} features, got ${count}`,
      );
    }
  }
  const [x, y] = prepareFeatures([real, generated], ACTION);
  const ofReal = await squaredRadii(device, x, neighbours);
  const ofGenerated = await squaredRadii(device, y, neighbours);
  const balls = new Uint32Array(y.count); // Real balls that contain each generated feature.
  const covered = new Uint8Array(x.count), recalled = new Uint8Array(x.count);
  await visitPairs(device, x, y, { a: ofReal, b: ofGenerated }, (i, j, least, most) => {
    const radius = ofReal[i], other = ofGenerated[j];
    const isSure = isClear(least, most, radius) && isClear(least, most, other);
    const distance = isSure ? most : exactSquare(x, i, y, j);
    if (distance <= radius) {
      balls[j]++;
      covered[i] = 1;
    }
    if (distance <= other) recalled[i] = 1;
  });
  return {
    precision: shareOf(balls),
    recall: shareOf(recalled),
    density: balls.reduce((sum, count) => sum + count, 0) / (neighbours * y.count),
    coverage: shareOf(covered),
  };
}

/** Whether both bounds lie on the same side of a threshold. */
function isClear(least: number, most: number, threshold: number): boolean {
  return most <= threshold || least > threshold;
}

/** The share of the counts that are not 0. */
function shareOf(counts: Uint32Array | Uint8Array): number {
  let held = 0;
  for (const count of counts) if (count > 0) held++;
  return held / counts.length;
}

/** The squared distance of each feature to its k-th nearest neighbour in its set, exact. */
async function squaredRadii(
  device: Device,
  set: ProductFeatures,
  neighbours: number,
): Promise<Float64Array> {
  // The k smallest squares of each feature so far, in ascending order.
  const nearest = new Float64Array(set.count * neighbours).fill(Infinity);
  const radii = new Float64Array(set.count).fill(Infinity); // The last of them.
  const none = new Float64Array(set.count).fill(-Infinity);
  await visitPairs(device, set, set, { a: radii, b: none }, (row, column) => {
    if (row === column) return;
    const square = exactSquare(set, row, set, column);
    if (square >= radii[row]) return;
    const from = row * neighbours;
    let at = from + neighbours - 1;
    for (; at > from && nearest[at - 1] > square; at--) nearest[at] = nearest[at - 1];
    nearest[at] = square;
    radii[row] = nearest[from + neighbours - 1];
  });
  return radii;
}
