/** How well generated samples match real ones as a set: precision and recall (Kynkäänniemi et al. 2019, arXiv
 * 1904.06991), density and coverage (Naeem et al. 2020, arXiv 2002.09797). */
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
  /** The share of generated features that lie in some real feature's ball, in [0, 1]: whether samples are realistic. */
  readonly precision: number;
  /** The share of real features that lie in some generated feature's ball, in [0, 1]: whether all kinds are made. */
  readonly recall: number;
  /** Real features' balls that a generated feature lies in, on average, over k: at least 0, about 1 for sets of one kind;
   * as precision, but an outlier among the real features counts for little. */
  readonly density: number;
  /** The share of real features whose ball holds some generated feature, in [0, 1]; as recall, but an outlier among the
   * generated features counts for little. */
  readonly coverage: number;
}

/** How the balls are drawn. */
export interface NeighbourhoodOptions {
  /** k: a feature's ball reaches to its k-th nearest neighbour in its own set, and holds what lies on its edge. */
  readonly neighbours?: number;
}

const ACTION = "measure precision and recall";

/** Measures generated features against real ones by the balls around each that reach to its k-th nearest neighbour of its
 * own set (another feature, which may be equal). The distances are Euclidean and exact: every comparison comes out as with
 * float64 sums over all pairs. Beyond the features, memory does not grow with their number.
 *
 * ```ts
 * import { neighbourhoodMetrics, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const set = (...values: number[]) => ({ values: Float32Array.from(values), count: values.length });
 * const real = set(0, 1, 2, 3), generated = set(0.5, 1.5, 2.6, 99);
 * const { precision, coverage } = await neighbourhoodMetrics(device, real, generated, { neighbours: 1 });
 * assert.deepEqual([precision, coverage], [0.75, 1]); // 99 is far from all that is real.
 * ```
 * @param real `[N, D]`
 * @param generated `[M, D]`
 * @throws {TypeError} the features differ in their length
 * @throws {RangeError} k is not positive, a set has less than k + 1 features, or a value is not finite
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
  const balls = new Uint32Array(y.count); // Real balls that hold each generated feature.
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

/** Whether bounds lie on one side of a threshold. */
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
  // The k least squares of each feature so far, in ascending order.
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
