/** The mean and covariance of a stream of features. */

/** A normal distribution over features. */
export interface Gaussian {
  /** `[dimensions]`. */
  readonly mean: Float64Array;
  /** `[dimensions, dimensions]`, symmetric. */
  readonly covariance: Float64Array;
}

/** How many features are multiplied at once, so that one pass over the sums serves several features. */
const BLOCK = 16;

/** Sums features as they arrive, and keeps only the sums. All sums are float64 and relative to the first feature, so
 * that large means cost no precision.
 *
 * ```ts
 * import { FeatureStatistics } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const statistics = new FeatureStatistics(1);
 * statistics.add(Float32Array.of(1, 2));
 * statistics.add(Float32Array.of(6));
 * const { mean, covariance } = statistics.gaussian();
 * assert.deepEqual([mean[0], covariance[0]], [3, 7]);
 * ```
 */
export class FeatureStatistics {
  /** The length of a feature. */
  readonly dimensions: number;
  readonly #origin: Float64Array;
  readonly #sums: Float64Array;
  readonly #products: Float64Array;
  #count = 0;

  /** Starts with no features. */
  constructor(dimensions: number) {
    this.dimensions = dimensions;
    this.#origin = new Float64Array(dimensions);
    this.#sums = new Float64Array(dimensions);
    this.#products = new Float64Array(dimensions * dimensions);
  }

  /** How many features were added. */
  get count(): number {
    return this.#count;
  }

  /** Adds features.
   * @param features `[n, dimensions]`
   * @throws {TypeError} the last feature is incomplete
   */
  add(features: Float32Array): void {
    const { dimensions } = this;
    if (features.length % dimensions !== 0) {
      throw new TypeError(
        `Cannot add features: each must have ${dimensions} numbers, got ${features.length} in all`,
      );
    }
    if (this.#count === 0) this.#origin.set(features.subarray(0, dimensions));
    const rows = features.length / dimensions;
    for (let row = 0; row < rows; row += BLOCK) {
      this.#addBlock(features.subarray(row * dimensions, (row + BLOCK) * dimensions));
    }
    this.#count += rows;
  }

  /** The mean and the unbiased covariance (over n − 1).
   * @throws {RangeError} there are fewer than two features
   */
  gaussian(): Gaussian {
    const count = this.#count, { dimensions } = this;
    if (count < 2) {
      throw new RangeError(
        `Cannot take a covariance: at least 2 features are needed, got ${count}`,
      );
    }
    const sums = this.#sums;
    const covariance = new Float64Array(this.#products.length);
    for (let i = 0; i < dimensions; i++) {
      for (let j = 0; j <= i; j++) {
        const value = (this.#products[i * dimensions + j] - sums[i] * sums[j] / count) /
          (count - 1);
        covariance[i * dimensions + j] = value;
        covariance[j * dimensions + i] = value;
      }
    }
    return { mean: sums.map((sum, at) => this.#origin[at] + sum / count), covariance };
  }

  /** Adds up to `BLOCK` features to the lower triangle of the products. */
  #addBlock(block: Float32Array): void {
    const { dimensions } = this, rows = block.length / dimensions;
    const columns = new Float64Array(block.length); // [dimensions, rows], relative to the origin
    for (let row = 0; row < rows; row++) {
      for (let at = 0; at < dimensions; at++) {
        const value = block[row * dimensions + at] - this.#origin[at];
        columns[at * rows + row] = value;
        this.#sums[at] += value;
      }
    }
    for (let i = 0; i < dimensions; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let row = 0; row < rows; row++) {
          sum += columns[i * rows + row] * columns[j * rows + row];
        }
        this.#products[i * dimensions + j] += sum;
      }
    }
  }
}
