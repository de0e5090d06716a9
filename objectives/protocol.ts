/** How test numbers are measured; two numbers can be compared only where it is the same. */
import type { Dataset, Split } from "../data/dataset.ts";
import type { Evaluation } from "./evaluate_model.ts";

/** Which images are measured. */
export interface MeasuredImages {
  /** The data set. */
  readonly dataset: string;
  /** Which part of it. */
  readonly split: Split;
  /** How many images of it, from its start. */
  readonly images: number;
  /** Height, width and channels. */
  readonly imageShape: readonly number[];
  /** The range of the images' values. */
  readonly valueRange: readonly [low: number, high: number];
}

/** The evaluation protocol of the numbers that every run has. */
export interface EvaluationProtocol extends MeasuredImages {
  /** How each metric is defined. */
  readonly metrics: Readonly<Record<"mse" | "psnr" | "usage" | "perplexity", string>>;
}

/** Some images of a data set: by default, all of its test images.
 * @param images how many are measured, if it has so many
 */
export function measuredImages(
  { name, sizes, imageShape }: Dataset,
  { split = "test", images = Infinity }: { readonly split?: Split; readonly images?: number } = {},
): MeasuredImages {
  const measured = Math.min(images, sizes[split]);
  return { dataset: name, split, images: measured, imageShape, valueRange: [-1, 1] };
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
      psnr: "mean over images of 10 log10(2^2 / mse) in dB, unclipped",
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
export async function protocolHash(protocol: EvaluationProtocol | MetricProtocol): Promise<string> {
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
  /** Tells the weights of its network from others; none without a network. */
  readonly weights: string | null;
}

/** A number with what is needed to read it. */
export interface Measurement {
  /** What it is called. */
  readonly name: string;
  /** The number. */
  readonly value: number;
  /** Which way is better. */
  readonly better: "higher" | "lower";
  /** Decimals that are worth showing. */
  readonly decimals: number;
  /** The protocol's hash: numbers of different hashes are never put in one column. */
  readonly protocol: string;
}

/** What was measured on the test images, with the protocol by which. */
export interface TestNumbers extends Omit<Evaluation, "counts"> {
  /** The protocol's hash. */
  readonly protocol: string;
}

/** An evaluation on a data set's test images, as it is recorded and reported.
 *
 * ```ts
 * import { openDigits, testNumbers } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const counts = Int32Array.of(3, 1);
 * const measured = { images: 997, mse: 0.5, psnr: 9, usage: 1, perplexity: 1.75, counts };
 * const { mse, protocol } = await testNumbers(measured, await openDigits());
 * assert.equal(mse, 0.5);
 * assert.match(protocol, /^[0-9a-f]{12}$/);
 * ```
 */
export async function testNumbers(
  { counts: _, ...numbers }: Evaluation,
  dataset: Dataset,
  measured: MeasuredImages = measuredImages(dataset),
): Promise<TestNumbers> {
  return { ...numbers, protocol: await protocolHash(evaluationProtocol(dataset, measured)) };
}
