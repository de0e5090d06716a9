/** Quantiser dropout: some training steps use only the first few codes of a feature. */
import { philox, unitInterval } from "../core/random.ts";
import { partKey } from "../nn/initializers.ts";
import type { QuantizeContext } from "./quantizer.ts";

/** How many of `count` codes, coarse to fine, a step uses: in training, with the given probability, a random number of at
 * least 1; otherwise all.
 *
 * Source: arXiv 2107.03312, section III.C.
 */
export function codesInUse(
  { training, key }: QuantizeContext,
  count: number,
  probability: number,
): number {
  if (!training || probability === 0) return count;
  const words = new Uint32Array(4);
  philox(partKey(key, count), 0, 0, words);
  if (unitInterval(words[0]) >= probability) return count;
  return 1 + Math.floor(unitInterval(words[1]) * count);
}
