/** How a codebook is used, from the counts of a whole set. A number over one batch misleads: it depends on the
 * batch's size. */

/** How a codebook is used. */
export interface CodebookUse {
  /** The share of the codes chosen at least once, in [0, 1]. */
  readonly usage: number;
  /** exp of the entropy of the codes' shares, in [1, K]. */
  readonly perplexity: number;
}

/** Usage and perplexity from counts (METHOD 2 and 4): perplexity = exp(−Σ p_k ln(p_k + 1e−10)).
 *
 * ```ts
 * import { codebookUse } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { usage, perplexity } = codebookUse(Int32Array.of(5, 5, 0, 0));
 * assert.equal(usage, 0.5);
 * assert.ok(Math.abs(perplexity - 2) < 1e-6);
 * ```
 * @param counts how often each code was chosen, `[K]`
 * @throws {RangeError} nothing was counted
 */
export function codebookUse(counts: ArrayLike<number>): CodebookUse {
  let total = 0, used = 0, entropy = 0;
  for (let code = 0; code < counts.length; code++) {
    total += counts[code];
    if (counts[code] > 0) used++;
  }
  if (total === 0) {
    throw new RangeError(
      `Cannot measure a codebook's use: some code must have been chosen, got ${counts.length} counts of 0`,
    );
  }
  for (let code = 0; code < counts.length; code++) {
    const share = counts[code] / total;
    entropy -= share * Math.log(share + 1e-10);
  }
  return { usage: used / counts.length, perplexity: Math.exp(entropy) };
}
