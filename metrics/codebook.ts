/** Codebook usage, from the counts over a whole data set. A number over one batch would be misleading, since it depends
 * on the batch size. */
import { greatestOf, leastOf } from "../core/extremes.ts";

/** The usage of a codebook. */
export interface CodebookUse {
  /** The fraction of codes chosen at least once, in [0, 1]. */
  readonly usage: number;
  /** exp of the entropy of the code frequencies, in [1, K]. */
  readonly perplexity: number;
}

/** Usage and perplexity from counts (arXiv 1711.00937): perplexity = exp(−Σ p_k ln(p_k + 1e−10)).
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

/** Statistics of a codebook over a whole data set. */
export interface CodebookReport extends CodebookUse {
  /** The number of codes. */
  readonly codes: number;
  /** The entropy of an index in bits, −Σ p_k log₂ p_k in [0, log₂ K]: the smallest average cost of an index. */
  readonly entropyBits: number;
  /** The codes that were never chosen, in order. */
  readonly dead: readonly number[];
  /** The counts in descending order. */
  readonly histogram: readonly number[];
  /** The lengths of the code vectors, for codes in use and for dead codes; null if there is no such code or its vector
   * is unknown. */
  readonly norms: Readonly<Record<"used" | "dead", Range | null>>;
  /** The numbers of training steps since the dead codes were last chosen; null if unknown. */
  readonly deadSteps: Range | null;
}

/** The range of some numbers. */
export interface Range {
  /** The smallest. */
  readonly least: number;
  /** The mean. */
  readonly mean: number;
  /** The largest. */
  readonly most: number;
}

/** Further data about the codes, besides their counts. */
export interface CodebookDetails {
  /** The code vectors, `[K, D]`. */
  readonly vectors?: Float32Array;
  /** Training steps since each code was last chosen, `[K]`. */
  readonly ages?: ArrayLike<number>;
}

/** Computes statistics of a codebook from counts, code vectors and ages.
 *
 * ```ts
 * import { codebookReport } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const vectors = Float32Array.of(3, 4, 0, 0, 6, 8);
 * const report = codebookReport(Int32Array.of(1, 0, 3), { vectors });
 * assert.deepEqual(report.dead, [1]);
 * assert.deepEqual(report.norms.used, { least: 5, mean: 7.5, most: 10 });
 * ```
 * @param counts how often each code was chosen, `[K]`
 * @throws {RangeError} nothing was counted
 * @throws {TypeError} the number of vectors does not match the number of codes
 */
export function codebookReport(
  counts: Int32Array,
  { vectors, ages }: CodebookDetails = {},
): CodebookReport {
  const codes = counts.length, width = (vectors?.length ?? 0) / codes;
  if (!Number.isInteger(width)) {
    throw new TypeError(
      `Cannot report on a codebook: its vectors must be those of ${codes} codes, got ${vectors?.length} values`,
    );
  }
  const use = codebookUse(counts);
  const total = counts.reduce((sum, count) => sum + count);
  const all = Array.from(counts.keys());
  const dead = all.filter((code) => counts[code] === 0);
  const lengths = (chosen: readonly number[]) =>
    vectors === undefined
      ? []
      : chosen.map((code) => lengthOf(vectors.subarray(code * width, (code + 1) * width)));
  return {
    codes,
    ...use,
    entropyBits: counts.reduce((sum, count) => {
      const share = count / total;
      return count === 0 ? sum : sum - share * Math.log2(share);
    }, 0),
    dead,
    histogram: Array.from(counts).sort((a, b) => b - a),
    norms: {
      used: rangeOf(lengths(all.filter((code) => counts[code] > 0))),
      dead: rangeOf(lengths(dead)),
    },
    deadSteps: ages === undefined ? null : rangeOf(dead.map((code) => ages[code])),
  };
}

function lengthOf(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value ** 2, 0));
}

function rangeOf(values: readonly number[]): Range | null {
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  return { least: leastOf(values), mean, most: greatestOf(values) };
}
