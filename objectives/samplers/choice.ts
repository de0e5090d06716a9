/** Draws codes from logits. */
import * as z from "zod";
import { gumbel, philox, type RandomKey } from "../../core/random.ts";

/** How to draw a code. */
export interface ChoiceSettings {
  /** The divisor of the logits. Below 1, likely codes become more likely; 0 takes the most likely code. */
  readonly temperature: number;
  /** Top-k: draws only from this many of the most likely codes; `null`: from all. */
  readonly topK: number | null;
  /** Top-p: draws only from the most likely codes that together have this probability; `null`: from all. */
  readonly topP: number | null;
}

/** The schema of these settings, to be spread into the schema of a sampler. */
export const CHOICE_SETTINGS: {
  readonly temperature: z.ZodType<number>;
  readonly topK: z.ZodType<number | null>;
  readonly topP: z.ZodType<number | null>;
} = {
  temperature: z.number().min(0).default(1)
    .describe("divides the logits; 0 takes the most likely code"),
  topK: z.int().min(1).nullable().default(null)
    .describe("draws only from this many of the most likely codes"),
  topP: z.number().gt(0).max(1).nullable().default(null)
    .describe("draws only from the most likely codes that together have this probability"),
};

/** A drawn code. */
export interface Choice {
  /** Its index. */
  readonly code: number;
  /** ln of its probability under the original logits, without the settings. */
  readonly logProbability: number;
}

/** Rejects settings that do not fit a codebook.
 * @throws {RangeError} `topK` is larger than the codebook
 */
export function checkChoice({ topK }: ChoiceSettings, codebookSize: number): void {
  if (topK === null || topK <= codebookSize) return;
  throw new RangeError(
    `Cannot sample: topK must be at most the ${codebookSize} codes, got ${topK}`,
  );
}

/** The random numbers of one code of one image. */
export interface Draw {
  /** Uniform in [0, 1). */
  readonly chance: number;
  /** From the standard Gumbel distribution, independent of `chance`. */
  readonly gumbel: number;
}

/** The random numbers of one code of one image. They depend only on the key, the image and the position. */
export function drawOf(key: RandomKey, image: number, position: number): Draw {
  const words = new Uint32Array(4);
  philox(key, position, image, words);
  return {
    chance: ((words[0] >>> 5) * 2 ** 26 + (words[1] >>> 6)) * 2 ** -53,
    gumbel: gumbel(words[2]),
  };
}

/** The greatest values, in any order (Hoare's selection). */
function greatestOf(values: Float64Array, count: number): Float64Array {
  const all = values.slice(), first = all.length - count;
  let [low, high] = [0, all.length - 1];
  while (low < high) {
    const pivot = all[(low + high) >> 1];
    let [left, right] = [low, high];
    while (left <= right) {
      while (all[left] < pivot) left++;
      while (all[right] > pivot) right--;
      if (left > right) break;
      const value = all[left];
      all[left++] = all[right];
      all[right--] = value;
    }
    if (first <= right) high = right;
    else if (first >= left) low = left;
    else break;
  }
  return all.subarray(first);
}

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);

/** The fewest of the greatest weights that together reach a sum, at least one.
 * @param weights in ascending order
 */
function reaching(weights: Float64Array, enough: number): Float64Array {
  let [sum, first] = [0, weights.length];
  while (first > 0 && (first === weights.length || sum < enough)) sum += weights[--first];
  return weights.subarray(first);
}

/** Sets the weights of codes that cannot be drawn to 0. Of equal weights, the first are kept. */
function keepLikeliest(
  weights: Float64Array,
  total: number,
  { topK, topP }: ChoiceSettings,
): void {
  let kept = topK === null ? weights.slice() : greatestOf(weights, topK);
  if (topP !== null) {
    kept.sort();
    kept = reaching(kept, topP * (topK === null ? total : sumOf(kept)));
  }
  const least = kept.reduce((least, weight) => Math.min(least, weight), Infinity);
  let equals = kept.reduce((count, weight) => weight === least ? count + 1 : count, 0);
  for (let code = 0; code < weights.length; code++) {
    const weight = weights[code];
    if (weight < least || (weight === least && --equals < 0)) weights[code] = 0;
  }
}

/** The most likely code; of equally likely ones, the first.
 * @throws {RangeError} a logit is NaN or +∞, or all are −∞
 */
function likeliestOf(logits: Float32Array): number {
  let likeliest = 0;
  for (let code = 0; code < logits.length; code++) {
    const logit = logits[code];
    if (!(logit < Infinity)) refuse(`a logit must be a finite number, got ${logit}`);
    if (logit > logits[likeliest]) likeliest = code;
  }
  if (logits[likeliest] === -Infinity) {
    refuse("a code must be possible, got -Infinity for all logits");
  }
  return likeliest;
}

/** Draws a code as `chooseCode` does, without its probability.
 * @throws {RangeError} as `chooseCode`
 */
export function drawCode(logits: Float32Array, settings: ChoiceSettings, chance: number): number {
  checkChoice(settings, logits.length);
  const likeliest = likeliestOf(logits), greatest = logits[likeliest];
  const { temperature, topK, topP } = settings;
  if (temperature === 0) return likeliest;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let code = 0; code < weights.length; code++) {
    total += weights[code] = Math.exp((logits[code] - greatest) / temperature);
  }
  if (topK !== null || (topP !== null && topP < 1)) {
    keepLikeliest(weights, total, settings);
    total = sumOf(weights);
  }
  const until = chance * total;
  let sum = 0, last = likeliest;
  for (let code = 0; code < weights.length && sum <= until; code++) {
    if (weights[code] === 0) continue;
    sum += weights[code];
    last = code;
  }
  return last;
}

/** Draws a code.
 *
 * The temperature divides the logits first. Then `topK` keeps the most likely codes. Of those, `topP` keeps the most
 * likely ones that reach this share of their probability, always at least one. Of equally likely codes, those with the
 * lowest indices are kept.
 *
 * ```ts
 * import { chooseCode } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const logits = Float32Array.of(0, Math.log(3));
 * const settings = { temperature: 1, topK: null, topP: null };
 * assert.equal(chooseCode(logits, settings, 0.24).code, 0);
 * assert.equal(chooseCode(logits, settings, 0.26).code, 1);
 * assert.equal(chooseCode(logits, { ...settings, temperature: 0 }, 0).code, 1);
 * ```
 * @param logits the logits of all codes
 * @param chance a random number in [0, 1)
 * @throws {RangeError} a logit is NaN or +∞, or all are −∞; or `topK` is above the number of codes
 */
export function chooseCode(logits: Float32Array, settings: ChoiceSettings, chance: number): Choice {
  const code = drawCode(logits, settings, chance), greatest = logits[likeliestOf(logits)];
  let normalizer = 0;
  for (const logit of logits) normalizer += Math.exp(logit - greatest);
  return { code, logProbability: logits[code] - greatest - Math.log(normalizer) };
}

function refuse(requirement: string): never {
  throw new RangeError(`Cannot choose a code: ${requirement}`);
}
