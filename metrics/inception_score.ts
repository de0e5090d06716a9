/** The Inception Score (Salimans et al. 2016, arXiv 1606.03498). */

/** exp of the mean Kullback-Leibler divergence between the classes of each image and those of all images. The images
 * are split in order into parts of nearly equal size; the result is the mean over the parts.
 *
 * ```ts
 * import { inceptionScore } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const sure = Float32Array.of(50, 0, 0, 50); // Two images with different classes, both certain.
 * assert.ok(Math.abs(inceptionScore(sure, 2, 1) - 2) < 1e-6);
 * ```
 * @param logits `[images, classes]`
 * @param parts the number of parts; 10 by convention
 * @returns in [1, classes]
 * @throws {RangeError} there are fewer images than parts
 */
export function inceptionScore(logits: Float32Array, classes: number, parts = 10): number {
  const images = logits.length / classes;
  if (!Number.isInteger(images) || images < parts) {
    throw new RangeError(
      `Cannot take an Inception Score: there must be at least ${parts} images of ${classes} classes, got ${images}`,
    );
  }
  let start = 0, sum = 0;
  for (let part = 0; part < parts; part++) {
    const end = start + Math.floor(images / parts) + (part < images % parts ? 1 : 0);
    sum += scoreOf(logits.subarray(start * classes, end * classes), classes);
    start = end;
  }
  return sum / parts;
}

function scoreOf(logits: Float32Array, classes: number): number {
  const images = logits.length / classes;
  const means = new Float64Array(classes);
  let negativeEntropy = 0;
  for (let image = 0; image < images; image++) {
    const row = logits.subarray(image * classes, (image + 1) * classes);
    const most = row.reduce((a, b) => Math.max(a, b));
    let total = 0;
    for (const logit of row) total += Math.exp(logit - most);
    row.forEach((logit, index) => {
      const logShare = logit - most - Math.log(total), share = Math.exp(logShare);
      means[index] += share / images;
      negativeEntropy += share * logShare / images;
    });
  }
  const entropy = means.reduce((sum, mean) => mean > 0 ? sum - mean * Math.log(mean) : sum, 0);
  return Math.exp(negativeEntropy + entropy);
}
