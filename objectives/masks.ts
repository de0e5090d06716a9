/** Random masks: which codes are hidden from a model that learns to predict them. */
import { permutation, philox, type RandomKey, unitInterval } from "../core/random.ts";
import { partKey } from "../nn/initializers.ts";
import { hiddenShare } from "./samplers/masked.ts";

/** Draws which codes of an image are hidden. Their fraction is cos(πr/2), rounded up to at least one code, with r
 * uniform in [0, 1) (arXiv 2202.04200, 3.1).
 *
 * ```ts
 * import { drawMask, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const mask = drawMask(randomKey(1, "masks"), 0, 49);
 * assert.ok(mask.includes(1));
 * ```
 * @param image the number of the image; the mask depends only on the key and on this number
 * @param length the number of codes of an image
 * @returns `[length]`: 1 where a code is hidden
 */
export function drawMask(key: RandomKey, image: number, length: number): Int32Array<ArrayBuffer> {
  const words = new Uint32Array(4);
  philox(key, 0, image, words);
  const share = hiddenShare(unitInterval(words[0]));
  const hidden = Math.max(1, Math.ceil(share * length));
  const mask = new Int32Array(length);
  for (const place of permutation(partKey(key, image), length).subarray(0, hidden)) mask[place] = 1;
  return mask;
}
