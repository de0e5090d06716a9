/** The peak signal-to-noise ratio. */
import type { Images } from "./images.ts";
import { imageMse } from "./mse.ts";

/** The peak signal-to-noise ratio in dB of a mean squared error: 10·log₁₀(range²/mse); infinite if the error is 0.
 *
 * ```ts
 * import { peakSignalToNoise } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.equal(peakSignalToNoise(0.04, 2), 20);
 * ```
 * @param range the largest possible value minus the smallest: 2 for images in [−1, 1]
 */
export function peakSignalToNoise(meanSquaredError: number, range: number): number {
  return 10 * Math.log10(range * range / meanSquaredError);
}

/** Sums the errors of pairs of images and converts them to decibels.
 *
 * The ratio of two equal images is infinite, and one such pair would make the mean infinite. So `mean` covers only the
 * pairs that differ, and `equalPairs` counts the equal ones. `ofMeanError`, the ratio for the mean error, covers every
 * pair.
 *
 * ```ts
 * import { PsnrSums } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const sums = new PsnrSums(2);
 * for (const error of [0.04, 0.04, 0, 0]) sums.add(error);
 * assert.deepEqual([sums.mean, sums.equalPairs], [20, 2]);
 * assert.ok(Math.abs(sums.ofMeanError - 23.01) < 0.01);
 * ```
 */
export class PsnrSums {
  readonly #range: number;
  #errors = 0;
  #ratios = 0;
  #pairs = 0;
  #equal = 0;

  /** Starts with no pairs.
   * @param range the largest possible value minus the smallest: 2 for images in [−1, 1]
   */
  constructor(range: number) {
    this.#range = range;
  }

  /** Adds the mean squared error of a pair. */
  add(error: number): void {
    this.#pairs++;
    this.#errors += error;
    if (error === 0) this.#equal++;
    else this.#ratios += peakSignalToNoise(error, this.#range);
  }

  /** How many pairs were added. */
  get pairs(): number {
    return this.#pairs;
  }

  /** How many pairs are equal. */
  get equalPairs(): number {
    return this.#equal;
  }

  /** The mean squared error over all pairs. */
  get meanError(): number {
    return this.#errors / this.#pairs;
  }

  /** The mean over the pairs that differ, in dB; infinite if no pair differs. */
  get mean(): number {
    const differing = this.#pairs - this.#equal;
    return differing === 0 ? Infinity : this.#ratios / differing;
  }

  /** The ratio for the mean error over all pairs, in dB; infinite if no pair differs. */
  get ofMeanError(): number {
    return peakSignalToNoise(this.meanError, this.#range);
  }
}

/** The peak signal-to-noise ratio of each image, in dB.
 * @param range the largest possible value minus the smallest: 255 for bytes
 * @returns `[count]`; infinite for equal images
 * @throws {TypeError} the shapes differ
 */
export function imagePsnr(
  originals: Images,
  reconstructions: Images,
  range: number,
): Float64Array<ArrayBuffer> {
  return imageMse(originals, reconstructions).map((error) => peakSignalToNoise(error, range));
}
