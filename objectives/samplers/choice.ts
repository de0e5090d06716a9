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

/** How many of the most likely codes can be drawn.
 * @param weights in ascending order
 */
function countKept(weights: Float64Array, total: number, { topK, topP }: ChoiceSettings): number {
  const most = topK ?? weights.length;
  if (topP === null) return most;
  const all = topK === null
    ? total
    : weights.subarray(weights.length - most).reduce((sum, weight) => sum + weight, 0);
  let sum = 0, kept = 0;
  while (kept < most && (kept === 0 || sum < topP * all)) sum += weights[weights.length - ++kept];
  return kept;
}

/** Sets the weights of codes that cannot be drawn to 0. Of equal weights, the first are kept. */
function keepLikeliest(weights: Float64Array, total: number, settings: ChoiceSettings): void {
  const sorted = weights.toSorted();
  const kept = countKept(sorted, total, settings);
  if (kept === weights.length) return;
  const least = sorted[weights.length - kept];
  let equals = kept - (weights.length - 1 - sorted.findLastIndex((weight) => weight <= least));
  for (const [code, weight] of weights.entries()) {
    if (weight < least || (weight === least && --equals < 0)) weights[code] = 0;
  }
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
  checkChoice(settings, logits.length);
  let likeliest = 0;
  for (const [code, logit] of logits.entries()) {
    if (Number.isNaN(logit) || logit === Infinity) {
      refuse(`a logit must be a finite number, got ${logit}`);
    }
    if (logit > logits[likeliest]) likeliest = code;
  }
  const greatest = logits[likeliest];
  if (greatest === -Infinity) refuse("a code must be possible, got -Infinity for all logits");
  let normalizer = 0;
  for (const logit of logits) normalizer += Math.exp(logit - greatest);
  const chosen = (code: number): Choice => ({
    code,
    logProbability: logits[code] - greatest - Math.log(normalizer),
  });
  const { temperature, topK, topP } = settings;
  if (temperature === 0) return chosen(likeliest);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - greatest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (topK !== null || topP !== null) keepLikeliest(weights, total, settings);
  const until = chance * weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0, last = likeliest;
  for (const [code, weight] of weights.entries()) {
    if (weight === 0) continue;
    sum += weight;
    last = code;
    if (sum > until) break;
  }
  return chosen(last);
}

function refuse(requirement: string): never {
  throw new RangeError(`Cannot choose a code: ${requirement}`);
}
