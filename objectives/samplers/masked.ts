/** Draws many codes at a time. Some stay, the others are drawn again. */
import * as z from "zod";
import { withoutGradients } from "../../core/execute.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";
import { type ChoiceSettings, chooseCode, drawOf } from "./choice.ts";
import { haltonRanks } from "./halton_ranks.ts";

/** Which codes stay first: those with the highest confidence, or those at the first places of Halton's sequence. */
const ORDERS = ["confidence", "halton"] as const;

/** The number of passes, and how the codes that stay are chosen. */
export interface MaskedSettings {
  /** The number of decoding passes. */
  readonly steps: number;
  /** Which codes stay first. */
  readonly order: "confidence" | "halton";
  /** The initial weight of the Gumbel noise in the choice of the codes that stay. It falls linearly to 0. */
  readonly choiceTemperature: number;
}

/** The schema of these settings, to be spread into the schema of a sampler. */
export const MASKED_SETTINGS: {
  readonly steps: z.ZodType<number>;
  readonly order: z.ZodType<MaskedSettings["order"]>;
  readonly choiceTemperature: z.ZodType<number>;
} = {
  steps: z.int().min(1).default(12).describe("the number of decoding passes"),
  order: z.enum([...ORDERS]).default("confidence").describe(
    "which codes stay first: those with the highest confidence, or those at the first places of Halton's sequence, which spreads them over the image",
  ),
  choiceTemperature: z.number().min(0).default(4.5)
    .describe(
      "the initial weight of the Gumbel noise in the choice of the codes that stay; it falls linearly to 0",
    ),
};

/** Options of `drawInPasses`. */
export interface MaskedOptions extends ChoiceSettings, MaskedSettings {
  /** How many images. */
  readonly count: number;
  /** Rows and columns of an image's codes. */
  readonly grid: readonly [height: number, width: number];
  /** The number of the first image. The draws for image i depend only on the key and on its number, first + i. */
  readonly first: number;
  /** The key of all random numbers. */
  readonly key: RandomKey;
  /** The known codes, `[count, length]`; −1 where a code is to be drawn. */
  readonly given?: Int32Array;
  /** Called with the number of finished passes and the codes so far; −1 for hidden codes. */
  readonly onStep?: (done: number, codes: Int32Array<ArrayBuffer>) => Promise<void> | void;
  /** Aborts the work with an error. */
  readonly signal?: AbortSignal;
}

/** The fraction of codes that are hidden at `progress`, a number in [0, 1]: cos(π/2·progress) (arXiv 2202.04200, 3.3).
 */
export function hiddenShare(progress: number): number {
  return progress === 1 ? 0 : Math.cos(Math.PI / 2 * progress);
}

/** A code that was drawn in a pass. */
interface Candidate {
  readonly place: number;
  readonly code: number;
  readonly confidence: number;
}

/** Draws codes in passes.
 *
 * Source: MaskGIT, arXiv 2202.04200, 3.2. Each pass draws every hidden code and hides the least confident of them
 * again. The cosine schedule gives the number of hidden codes, which falls by at least one in each pass. Confidence is
 * ln p + choiceTemperature·(1 − progress)·Gumbel. A code that stays is never hidden again.
 *
 * With the order `halton`, the places decide instead of the confidence (arXiv 2503.17076): codes that are drawn in the
 * same pass do not know of each other, and far from each other they depend on each other the least.
 * @param logitsOf computes the logits of the codes at every position, float32 `[count, length, K]`, from codes `[count,
 * length]` in which −1 marks hidden ones
 * @returns `[count, length]`
 * @throws {RangeError} as `chooseCode`
 */
export async function drawInPasses(
  logitsOf: (codes: Int32Array<ArrayBuffer>) => Tensor,
  options: MaskedOptions,
): Promise<Int32Array<ArrayBuffer>> {
  const { count, grid: [height, width], steps, given, onStep, signal } = options;
  const length = height * width;
  const ranks = haltonRanks(height, width);
  const sooner = options.order === "halton"
    ? (a: Candidate, b: Candidate) => ranks[a.place] - ranks[b.place]
    : (a: Candidate, b: Candidate) => b.confidence - a.confidence || a.place - b.place;
  const codes = given === undefined
    ? new Int32Array(count * length).fill(-1)
    : Int32Array.from(given);
  const rows = Array.from(
    { length: count },
    (_, row) => codes.subarray(row * length, (row + 1) * length),
  );
  const hiddenAtFirst = rows.map(countHidden);
  for (let step = 0; step < steps && codes.includes(-1); step++) {
    signal?.throwIfAborted();
    using tensor = withoutGradients(() => logitsOf(codes));
    const logits = await tensor.floats(), size = logits.length / codes.length;
    for (const [row, own] of rows.entries()) {
      const all = logits.subarray(row * length * size, (row + 1) * length * size);
      const candidates = drawHidden(own, all, step, options.first + row, options).sort(sooner);
      const left = Math.floor(hiddenAtFirst[row] * hiddenShare((step + 1) / steps));
      const stay = candidates.length - Math.min(left, Math.max(candidates.length - 1, 0));
      for (const { place, code } of candidates.slice(0, stay)) own[place] = code;
    }
    await onStep?.(step + 1, codes);
  }
  return codes;
}

function countHidden(codes: Int32Array): number {
  return codes.reduce((hidden, code) => hidden + Number(code < 0), 0);
}

/** Draws the hidden codes of an image. */
function drawHidden(
  codes: Int32Array,
  logits: Float32Array,
  step: number,
  image: number,
  options: MaskedOptions,
): Candidate[] {
  const key = partKey(options.key, step), size = logits.length / codes.length;
  const noise = options.choiceTemperature * (1 - (step + 1) / options.steps);
  const candidates: Candidate[] = [];
  for (const [place, known] of codes.entries()) {
    if (known >= 0) continue;
    const { chance, gumbel } = drawOf(key, image, place);
    const own = logits.subarray(place * size, (place + 1) * size);
    const { code, logProbability } = chooseCode(own, options, chance);
    candidates.push({ place, code, confidence: logProbability + noise * gumbel });
  }
  return candidates;
}
