/** The Fréchet distance between normal distributions (Dowson and Landau 1982; Heusel et al. 2017, arXiv 1706.08500). */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { greatestOf } from "../core/extremes.ts";
import type { Gaussian } from "./feature_statistics.ts";

/** Reference points for a Fréchet distance: two other distances from the same real images. */
export interface FrechetScale {
  /** The distance of other real images, which a perfect generator would have. */
  readonly real: number;
  /** The distance of images whose pixels are drawn independently, each from the real images' pixels at the same
   * position. */
  readonly independent: number;
}

/** ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2·√(C₁·C₂)): FID if the features are Inception's.
 *
 * The trace of the root is that of √(Fᵀ·C₂·F), where C₁ = F·Fᵀ. This matrix is symmetric, and its size is the rank of
 * C₁, so singular covariances (fewer samples than dimensions) need no special case.
 *
 * ```ts
 * import { frechetDistance } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const gaussian = (mean: number, variance: number) => ({
 *   mean: Float64Array.of(mean),
 *   covariance: Float64Array.of(variance),
 * });
 * assert.equal(frechetDistance(gaussian(0, 1), gaussian(3, 4)), 10); // 3² + (1 − 2)²
 * ```
 * @returns at least 0
 * @throws {TypeError} the dimensions differ
 */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  const dimensions = a.mean.length;
  for (const { mean, covariance } of [a, b]) {
    if (mean.length !== dimensions || covariance.length !== dimensions ** 2) {
      throw new TypeError(
        `Cannot take a Fréchet distance: both must have ${dimensions} dimensions, got ${mean.length} and a covariance of ${covariance.length} values`,
      );
    }
  }
  let distance = 0;
  for (let at = 0; at < dimensions; at++) {
    const diagonal = at * dimensions + at;
    distance += (a.mean[at] - b.mean[at]) ** 2 + a.covariance[diagonal] + b.covariance[diagonal];
  }
  return Math.max(0, distance - 2 * traceOfRoot(a.covariance, b.covariance, dimensions));
}

/** tr √(C₁·C₂) of two symmetric positive semidefinite matrices. */
function traceOfRoot(first: Float64Array, second: Float64Array, dimensions: number): number {
  const factor = factorOf(first, dimensions), rank = factor.length;
  if (rank === 0) return 0;
  const inner = Matrix.zeros(rank, rank);
  factor.forEach((row, i) => {
    const product = rowTimes(row, second);
    for (let j = 0; j <= i; j++) {
      const value = dot(product, factor[j]);
      inner.set(i, j, value);
      inner.set(j, i, value);
    }
  });
  const { realEigenvalues } = new EigenvalueDecomposition(inner, { assumeSymmetric: true });
  return realEigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

/** The rows of Fᵀ, where F·Fᵀ = C: the pivoted Cholesky factor. The number of rows is the rank of C (Higham 1990). */
function factorOf(matrix: Float64Array, side: number): Float64Array[] {
  const left = Float64Array.from({ length: side }, (_, at) => matrix[at * side + at]);
  const least = 8 * Number.EPSILON * greatestOf(left);
  const rows: Float64Array[] = [];
  while (rows.length < side) {
    const pivot = left.reduce((best, value, at) => value > left[best] ? at : best, 0);
    if (!(left[pivot] > least)) break;
    const row = matrix.slice(pivot * side, (pivot + 1) * side);
    for (const before of rows) {
      const factor = before[pivot];
      for (let at = 0; at < side; at++) row[at] -= factor * before[at];
    }
    const root = Math.sqrt(left[pivot]);
    for (let at = 0; at < side; at++) {
      row[at] = left[at] === -Infinity ? 0 : row[at] / root; // 0 where an earlier pivot was.
      left[at] -= row[at] ** 2;
    }
    left[pivot] = -Infinity;
    rows.push(row);
  }
  return rows;
}

/** A row vector times a symmetric matrix. */
function rowTimes(row: Float64Array, matrix: Float64Array): Float64Array {
  const side = row.length, product = new Float64Array(side);
  for (let k = 0; k < side; k++) {
    const factor = row[k], from = k * side;
    for (let column = 0; column < side; column++) product[column] += factor * matrix[from + column];
  }
  return product;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}
