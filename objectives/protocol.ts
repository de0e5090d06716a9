/** How test numbers are measured; two numbers can be compared only where it is the same. */
import type { Dataset, MeasuredSplit } from "../data/dataset.ts";
import type { Precision } from "../core/precision.ts";
import { type JsonNumber, toJsonNumber } from "../files/json_number.ts";
import type { Evaluation } from "./evaluate_model.ts";

/** Which images are measured, and how precisely. */
export interface MeasuredImages {
  /** The data set. */
  readonly dataset: string;
  /** Which part of it. */
  readonly split: MeasuredSplit;
  /** How many images of it, from its start. */
  readonly images: number;
  /** Height, width and channels. */
  readonly imageShape: readonly number[];
  /** The range of the images' values. */
  readonly valueRange: readonly [low: number, high: number];
  /** How precisely layers are computed: the model's, and those of the networks behind metrics. */
  readonly precision: Precision;
}

/** Which images are chosen of a data set, and how precisely they are measured. */
export interface MeasuredOptions {
  /** Which part of it; the test images by default. */
  readonly split?: MeasuredSplit;
  /** How many are measured, if it has so many; all by default. */
  readonly images?: number;
  /** The precision of the device; float32 by default. */
  readonly precision?: Precision;
}

/** The evaluation protocol of the numbers that every run has. */
export interface EvaluationProtocol extends MeasuredImages {
  /** How each metric is defined. */
  readonly metrics: Readonly<
    Record<"mse" | "psnr" | "psnrOfMse" | "usage" | "perplexity", string>
  >;
}

/** An evaluation protocol as a run recorded it: of metrics that this program may not have, or without a precision. */
export interface RecordedProtocol extends Omit<EvaluationProtocol, "metrics" | "precision"> {
  /** How each metric was defined. */
  readonly metrics: Readonly<Record<string, string>>;
  /** How precisely layers were computed, where that was recorded. */
  readonly precision?: Precision;
}

/** Some images of a data set: by default, all of its test images, in float32. */
export function measuredImages(
  { name, sizes, imageShape }: Dataset,
  { split = "test", images = Infinity, precision = "float32" }: MeasuredOptions = {},
): MeasuredImages {
  const measured = Math.min(images, sizes[split] ?? 0);
  return { dataset: name, split, images: measured, imageShape, valueRange: [-1, 1], precision };
}

/** The protocol of `evaluate` on images of a data set: by default, all of its test images. */
export function evaluationProtocol(
  dataset: Dataset,
  measured: MeasuredImages = measuredImages(dataset),
): EvaluationProtocol {
  return {
    ...measured,
    metrics: {
      mse: "mean over images of the mean squared error of their values, unclipped",
      psnr:
        "mean over the images that differ of 10 log10(2^2 / mse) in dB, unclipped; infinite where none differs",
      psnrOfMse: "10 log10(2^2 / mse) in dB of the mean mse, unclipped; infinite where it is 0",
      usage: "share of the codes chosen at least once over all images",
      perplexity: "exp(-sum p ln(p + 1e-10)), p from the counts over all images",
    },
  };
}

/** A short name of a protocol: the first 12 hexadecimal digits of the SHA-256 of its JSON.
 *
 * ```ts
 * import { evaluationProtocol, openDigits, protocolHash } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const hash = await protocolHash(evaluationProtocol(await openDigits()));
 * assert.match(hash, /^[0-9a-f]{12}$/);
 * ```
 */
export async function protocolHash(
  protocol: RecordedProtocol | MetricProtocol | MeasuredImages,
): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(protocol));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The protocol of one number about originals and their reconstructions. */
export interface MetricProtocol extends Omit<MeasuredImages, "dataset" | "split" | "imageShape"> {
  /** The originals: a data set and its part, or where they were found. */
  readonly originals: string;
  /** Height, width and channels; none where images differ in them. */
  readonly imageShape: readonly number[] | null;
  /** Whether values are clipped to the range, and rounded to 255 steps as in a file of bytes. */
  readonly values: "clipped" | "clipped, 8-bit";
  /** How the metric is defined. */
  readonly metric: string;
  /** Why so few images mislead; none where they do not. */
  readonly caution: string | null;
  /** Tells the weights of its network from others; none without a network. */
  readonly weights: string | null;
}

/** A number with what is needed to read it. */
export interface Measurement {
  /** The metric's name in the registry. */
  readonly metric: string;
  /** What it is called. */
  readonly name: string;
  /** The number; infinite where the metric is. */
  readonly value: number;
  /** Which way is better. */
  readonly better: "higher" | "lower";
  /** Decimals that are worth showing. */
  readonly decimals: number;
  /** Why so few images mislead; none where they do not. */
  readonly caution: string | null;
  /** How many pairs were equal and are left out; none of a metric that takes every pair. */
  readonly equalPairs: number | null;
  /** The protocol's hash: numbers of different hashes are never put in one column. */
  readonly protocol: string;
}

/** What must be known to read a number, in words; nothing for most.
 *
 * ```ts
 * import { remarksOn } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual(remarksOn({ caution: null, equalPairs: 2 }), ["2 equal pairs are left out"]);
 * ```
 */
export function remarksOn(
  { caution, equalPairs }: Pick<Measurement, "caution" | "equalPairs">,
): readonly string[] {
  const equal = equalPairs === 1 ? "1 equal pair is" : `${equalPairs} equal pairs are`;
  return [
    ...caution === null ? [] : [caution],
    ...equalPairs === null || equalPairs === 0 ? [] : [`${equal} left out`],
  ];
}

/** What was measured on the test images, as JSON keeps it, with the protocol by which. */
export interface TestNumbers
  extends Omit<Evaluation, "counts" | "precision" | "psnr" | "psnrOfMse"> {
  /** As `Evaluation` has it. */
  readonly psnr: JsonNumber;
  /** As `Evaluation` has it. */
  readonly psnrOfMse: JsonNumber;
  /** The protocol's hash. */
  readonly protocol: string;
}

/** An evaluation on a data set's test images, as it is recorded and reported.
 *
 * ```ts
 * import { openDigits, testNumbers } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const perfect = { images: 997, equalImages: 997, mse: 0, psnr: Infinity, psnrOfMse: Infinity };
 * const codebook = { usage: 1, perplexity: 1.75, counts: Int32Array.of(3, 1) };
 * const measured = { ...perfect, ...codebook, precision: "float32" as const };
 * const { psnr, protocol } = await testNumbers(measured, await openDigits());
 * assert.equal(psnr, "Infinity"); // JSON has no other word for it.
 * assert.match(protocol, /^[0-9a-f]{12}$/);
 * ```
 */
export async function testNumbers(
  { counts: _, precision, ...numbers }: Evaluation,
  dataset: Dataset,
  measured: MeasuredImages = measuredImages(dataset, { precision }),
): Promise<TestNumbers> {
  return {
    ...numbers,
    psnr: toJsonNumber(numbers.psnr),
    psnrOfMse: toJsonNumber(numbers.psnrOfMse),
    protocol: await protocolHash(evaluationProtocol(dataset, measured)),
  };
}
