/** What the files of a run hold, where they are read back. */
import { join } from "node:path";
import { z } from "zod";
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

/** What every summary says of the training. */
const COSTS = z.object({
  steps: z.int().min(0),
  device: z.string(),
  imagesPerSecond: z.number().positive().nullable(),
  parameters: z.int().min(0).optional(), // Runs of before it was said have none.
});

/** What a run took. */
export type RunCosts = z.output<typeof COSTS>;

const SUMMARY = COSTS.extend({
  test: z.object({
    mse: z.number().min(0),
    psnr: jsonNumber.nullable(), // Runs have null too where the images are equal.
    usage: z.number().min(0).max(1),
    perplexity: z.number().min(0),
    protocol: z.string(),
  }),
  protocols: z.record(z.string(), protocol),
}).refine(({ test, protocols }) => Object.hasOwn(protocols, test.protocol), {
  path: ["protocols"],
  error: "the protocol of the test numbers must be among them",
});

/** The parts of `summary.json` that others read. */
export type RunSummary = z.output<typeof SUMMARY>;

/** Reads a run's `summary.json`; none where it is not finished.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readSummary(folder: string): Promise<RunSummary | undefined> {
  return await readJsonFile(join(folder, "summary.json"), SUMMARY, "a run's summary");
}

/** Reads the `summary.json` of a generator's run, whose test numbers are its objective's own; none where it is not finished.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readGeneratorSummary(folder: string): Promise<RunCosts | undefined> {
  return await readJsonFile(join(folder, "summary.json"), COSTS, "a run's summary");
}

const COUNTS = z.array(z.int().min(0)).min(1)
  .refine((counts) => counts.some((count) => count > 0), { error: "some code must be chosen" });

/** Reads how often each code was chosen, `[K]`; none where there is no such file.
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

/** Reads the records of a run's `metrics.jsonl`, without one that a kill cut short; nothing where there is no such file.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readRecords(path: string): Promise<readonly RunRecord[]> {
  return await readJsonLines(path, RECORD, "a record of a run");
}

const FAILURE = z.object({ reason: z.string() });

/** Reads why a run failed; none where there is no such file.
 * @throws {DamagedFileError} it cannot be read
 */
export async function readFailure(path: string): Promise<string | undefined> {
  return (await readJsonFile(path, FAILURE, "why a run failed"))?.reason;
}
