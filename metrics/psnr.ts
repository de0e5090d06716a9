/** The peak signal-to-noise ratio. */
import type { Images } from "./images.ts";
import { imageMse } from "./mse.ts";

/** The peak signal-to-noise ratio in dB of a mean squared error: 10·log₁₀(range²/mse); infinite for no error.
 *
 * ```ts
 * import { peakSignalToNoise } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.equal(peakSignalToNoise(0.04, 2), 20);
 * ```
 * @param range greatest value minus least: 2 for images in [−1, 1]
 */
export function peakSignalToNoise(meanSquaredError: number, range: number): number {
  return 10 * Math.log10(range * range / meanSquaredError);
}

/** The peak signal-to-noise ratio of each image, in dB.
 * @param range greatest value minus least: 255 for bytes
 * @returns `[count]`; infinite where an image is the same
 * @throws {TypeError} the shapes differ
 */
export function imagePsnr(
  originals: Images,
  reconstructions: Images,
  range: number,
): Float64Array<ArrayBuffer> {
  return imageMse(originals, reconstructions).map((error) => peakSignalToNoise(error, range));
}
