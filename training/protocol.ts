/** How test numbers are measured; two numbers can be compared only where it is the same. */
import type { Dataset, Split } from "../data/dataset.ts";
import type { Evaluation } from "./evaluation.ts";

/** The evaluation protocol. */
export interface EvaluationProtocol {
  /** The data set. */
  readonly dataset: string;
  /** Which part of it, all images. */
  readonly split: Split;
  /** How many images that is. */
  readonly images: number;
  /** Height, width and channels. */
  readonly imageShape: readonly number[];
  /** The range of the images' values. */
  readonly valueRange: readonly [low: number, high: number];
  /** How each metric is defined. */
  readonly metrics: Readonly<Record<"mse" | "psnr" | "usage" | "perplexity", string>>;
}

/** The protocol of `evaluate` on the test images of a data set. */
export function evaluationProtocol({ name, sizes, imageShape }: Dataset): EvaluationProtocol {
  return {
    dataset: name,
    split: "test",
    images: sizes.test,
    imageShape,
    valueRange: [-1, 1],
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
export async function protocolHash(protocol: EvaluationProtocol): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(protocol));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join("");
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
): Promise<TestNumbers> {
  return { ...numbers, protocol: await protocolHash(evaluationProtocol(dataset)) };
}
