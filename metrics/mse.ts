/** The mean squared error of images on the host. */
import { type Images, meanOverImages } from "./images.ts";

/** The mean of (a − b)² over the values of each image, in float64.
 *
 * ```ts
 * import { imageMse } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const image = (...values: number[]) => ({ values: Float32Array.from(values), shape: [1, 1, 2, 1] as const });
 * assert.deepEqual([...imageMse(image(0, 1), image(1, 3))], [2.5]);
 * ```
 * @returns `[count]`, in the images' own units squared
 * @throws {TypeError} the shapes differ
 */
export function imageMse(originals: Images, reconstructions: Images): Float64Array<ArrayBuffer> {
  return meanOverImages(originals, reconstructions, "measure mse", (a, b) => (a - b) ** 2);
}
