/** Evaluation protocols: how test numbers are measured. Two numbers can be compared only if their protocols are
 * equal. */
import type { Dataset, MeasuredSplit } from "../data/dataset.ts";
import type { Precision } from "../core/precision.ts";
import { type JsonNumber, toJsonNumber } from "../files/json_number.ts";
import type { FrechetScale } from "../metrics/frechet.ts";
import type { Evaluation } from "./evaluate_model.ts";

/** The measured images and the precision of the measurement. */
export interface MeasuredImages {
  /** The data set. */
  readonly dataset: string;
  /** The part of the data set. */
  readonly split: MeasuredSplit;
  /** The number of images, counted from the start of that part. */
  readonly images: number;
  /** Height, width and channels. */
  readonly imageShape: readonly number[];
  /** The range of the images' values. */
  readonly valueRange: readonly [low: number, high: number];
  /** The precision of the layers, of the model and of the networks of metrics. */
  readonly precision: Precision;
}

/** The choice of images from a data set, and the precision of the measurement. */
export interface MeasuredOptions {
  /** The part of the data set; by default the test images. */
  readonly split?: MeasuredSplit;
  /** The largest number of images to measure; by default all. */
  readonly images?: number;
  /** The precision of the device; by default float32. */
  readonly precision?: Precision;
}

/** The evaluation protocol of the numbers that every run reports. */
export interface EvaluationProtocol extends MeasuredImages {
  /** The definition of each metric. */
  readonly metrics: Readonly<
    Record<"mse" | "psnr" | "psnrOfMse" | "usage" | "perplexity", string>
  >;
}

/** An evaluation protocol that a run recorded. It may have metrics that this program does not have, or no precision. */
export interface RecordedProtocol extends Omit<EvaluationProtocol, "metrics" | "precision"> {
  /** The definition of each metric. */
  readonly metrics: Readonly<Record<string, string>>;
  /** The precision of the layers, if it was recorded. */
  readonly precision?: Precision;
}

/** Describes the measured images of a data set: by default all test images, in float32. */
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

/** A short hash of a protocol: the first 12 hexadecimal digits of the SHA-256 of its JSON.
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

/** The protocol of a single metric of originals and their reconstructions. */
export interface MetricProtocol extends Omit<MeasuredImages, "dataset" | "split" | "imageShape"> {
  /** The originals: a data set and its part, or the place of their files. */
  readonly originals: string;
  /** Height, width and channels; `null` if these differ between images. */
  readonly imageShape: readonly number[] | null;
  /** Whether values are only clipped to the range, or also rounded to 255 steps as in 8-bit files. */
  readonly values: "clipped" | "clipped, 8-bit";
  /** The definition of the metric. */
  readonly metric: string;
  /** Why the number is not reliable with so few images; `null` if it is reliable. */
  readonly caution: string | null;
  /** Identifies the weights of the metric's network; `null` without a network. */
  readonly weights: string | null;
}

/** A number with the information needed to interpret it. */
export interface Measurement {
  /** The metric's name in the registry. */
  readonly metric: string;
  /** The name to display. */
  readonly name: string;
  /** The number; it can be infinite. */
  readonly value: number;
  /** Whether higher or lower is better. */
  readonly better: "higher" | "lower";
  /** How many decimals to show. */
  readonly decimals: number;
  /** Why the number is not reliable with so few images; `null` if it is reliable. */
  readonly caution: string | null;
  /** How many pairs were equal and are left out; `null` for a metric that uses every pair. */
  readonly equalPairs: number | null;
  /** Reference points for Fréchet distances, if they are known: the distances of training images and of images with
   * independent pixels. */
  readonly scale?: FrechetScale;
  /** The hash of the protocol. A table column never mixes numbers of different hashes. */
  readonly protocol: string;
}

/** The notes needed to interpret a number, in words; empty for most numbers.
 *
 * ```ts
 * import { remarksOn } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual(remarksOn({ caution: null, equalPairs: 2 }), ["2 equal pairs are left out"]);
 * ```
 */
export function remarksOn(
  { caution, equalPairs, scale }: Pick<Measurement, "caution" | "equalPairs" | "scale">,
): readonly string[] {
  const equal = equalPairs === 1 ? "1 equal pair is" : `${equalPairs} equal pairs are`;
  return [
    ...scale === undefined ? [] : [
      `training images have ${scale.real.toFixed(2)}, images of independent pixels ${
        scale.independent.toFixed(2)
      }`,
    ],
    ...caution === null ? [] : [caution],
    ...equalPairs === null || equalPairs === 0 ? [] : [`${equal} left out`],
  ];
}

/** The measures on the test images in JSON form, with their protocol. */
export interface TestNumbers
  extends Omit<Evaluation, "counts" | "precision" | "psnr" | "psnrOfMse"> {
  /** As in `Evaluation`. */
  readonly psnr: JsonNumber;
  /** As in `Evaluation`. */
  readonly psnrOfMse: JsonNumber;
  /** The hash of the protocol. */
  readonly protocol: string;
}

/** An evaluation on a data set's test images, in the form that is recorded and reported.
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
