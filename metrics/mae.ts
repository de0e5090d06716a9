/** The mean absolute error of images on the host. */
import { type Images, meanOverImages } from "./images.ts";

/** The mean of |a − b| over the values of each image, in float64.
 *
 * ```ts
 * import { imageMae } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const image = (...values: number[]) => ({ values: Float32Array.from(values), shape: [1, 1, 2, 1] as const });
 * assert.deepEqual([...imageMae(image(0, 1), image(1, 3))], [1.5]);
 * ```
 * @returns `[count]`, in the images' own units
 * @throws {TypeError} the shapes differ
 */
export function imageMae(originals: Images, reconstructions: Images): Float64Array<ArrayBuffer> {
  return meanOverImages(originals, reconstructions, "measure mae", (a, b) => Math.abs(a - b));
}
