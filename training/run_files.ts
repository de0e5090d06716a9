/** Reads the files of a run. */
import { join } from "node:path";
import * as z from "zod";
import { PRECISIONS } from "../core/precision.ts";
import type { RecordedProtocol } from "../objectives/protocol.ts";
import { jsonNumber, readJsonFile, readJsonLines } from "./read_back.ts";
import type { RunRecord } from "./run_record.ts";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const side = z.int().min(1);

const protocol: z.ZodType<RecordedProtocol> = z.object({
  dataset: z.string(),
  split: z.enum(["train", "validation", "test"]),
  images: z.int().min(1),
  imageShape: z.tuple([side, side, side]),
  valueRange: z.tuple([z.number(), z.number()]),
  precision: z.enum([...PRECISIONS]).optional(),
  metrics: z.record(z.string(), z.string()),
}).catchall(scalar);

/** The cost of a run, which every summary contains. */
export interface RunCosts {
  /** Steps taken. */
  readonly steps: number;
  /** The device that trained the run. */
  readonly device: string;
  /** Training speed; null if the last session had no step left to take. */
  readonly imagesPerSecond: number | null;
  /** The number of the model's parameters; missing in older summaries. */
  readonly parameters?: number;
}

const COSTS = z.object({
  steps: z.int().min(0),
  device: z.string(),
  imagesPerSecond: z.number().positive().nullable(),
  parameters: z.int().min(0).optional(),
});

/** The parts of a first stage's `summary.json` that other code reads. */
export interface RunSummary extends RunCosts {
  /** The test numbers, with the hash of their protocol. */
  readonly test: {
    /** The mean squared error. */
    readonly mse: number;
    /** In dB; null or infinite if the images are equal. */
    readonly psnr: number | null;
    /** The fraction of the codes that were chosen. */
    readonly usage: number;
    /** The perplexity of the codes. */
    readonly perplexity: number;
    /** The hash of the protocol. */
    readonly protocol: string;
  };
  /** The measurements requested by `training.metrics`. */
  readonly measurements?: readonly { readonly metric: string; readonly value: number }[];
  /** The protocols by hash. */
  readonly protocols: Readonly<Record<string, RecordedProtocol>>;
}

const SUMMARY: z.ZodType<RunSummary> = COSTS.extend({
  test: z.object({
    mse: z.number().min(0),
    psnr: jsonNumber.nullable(), // Some runs have null if the images are equal.
    usage: z.number().min(0).max(1),
    perplexity: z.number().min(0),
    protocol: z.string(),
  }),
  measurements: z.array(z.object({ metric: z.string(), value: jsonNumber })).optional(),
  protocols: z.record(z.string(), protocol),
}).refine(({ test, protocols }) => Object.hasOwn(protocols, test.protocol), {
  path: ["protocols"],
  error: "the protocol of the test numbers must be among them",
});

/** Reads a run's `summary.json`; undefined if the run is not finished.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readSummary(folder: string): Promise<RunSummary | undefined> {
  return await readJsonFile(join(folder, "summary.json"), SUMMARY, "a run's summary");
}

/** Reads the cost of a run of any objective from `summary.json`; undefined if the run is not finished.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readRunCosts(folder: string): Promise<RunCosts | undefined> {
  return await readJsonFile(join(folder, "summary.json"), COSTS, "a run's summary");
}

const COUNTS = z.array(z.int().min(0)).min(1)
  .refine((counts) => counts.some((count) => count > 0), { error: "some code must be chosen" });

/** Reads how often each code was chosen, `[K]`; undefined if there is no such file.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readCounts(path: string): Promise<readonly number[] | undefined> {
  return await readJsonFile(path, COUNTS, "how often each code was chosen");
}

const RECORD: z.ZodType<RunRecord> = z.looseObject({
  step: z.int().min(0),
  kind: z.string().optional(),
  codebook: z.looseObject({}).optional(),
  test: z.looseObject({ protocol: z.string().optional() }).optional(),
});

/** Reads the records of a run's `metrics.jsonl`, without an incomplete last one; an empty list if there is no such
 * file.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readRecords(path: string): Promise<readonly RunRecord[]> {
  return await readJsonLines(path, RECORD, "a record of a run");
}

const FAILURE = z.object({ reason: z.string() });

/** Reads why a run failed; undefined if there is no such file.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readFailure(path: string): Promise<string | undefined> {
  return (await readJsonFile(path, FAILURE, "why a run failed"))?.reason;
}

/** A measurement of `evaluate`. */
export interface EvaluatedNumber {
  /** The name with the unit: `PSNR (dB), clipped`. */
  readonly name: string;
  /** The value in that unit. */
  readonly value: number;
  /** Number of meaningful decimals. */
  readonly decimals: number;
  /** Which way is better. */
  readonly better: "higher" | "lower";
  /** The hash of its protocol. */
  readonly protocol: string;
}

const EVALUATION: z.ZodType<{ readonly measurements: readonly EvaluatedNumber[] }> = z.object({
  measurements: z.array(z.object({
    name: z.string(),
    value: jsonNumber,
    decimals: z.int().min(0).max(20),
    better: z.enum(["higher", "lower"]),
    protocol: z.string(),
  })),
});

/** Reads the last measurements that `evaluate` made of a run, besides the test numbers; undefined if there are none.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readEvaluation(
  folder: string,
): Promise<readonly EvaluatedNumber[] | undefined> {
  const path = join(folder, "evaluation.json");
  return (await readJsonFile(path, EVALUATION, "an evaluation of a run"))?.measurements;
}
