/** What is known of the runs of a study. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomically } from "../../core/atomic_write.ts";
import { readJsonFileIfThere } from "../json_file.ts";
import { RunFolder } from "../run_folder.ts";
import type { Measure } from "./measures.ts";
import type { PlannedRun } from "./plan.ts";

/** How far a run of a study is: `waiting`, it has not begun; `started`, it can be resumed; `failed`, it is run again
 * only when asked; `damaged`, a file that says it cannot be read, and it is run again only when asked; `finished`. */
export type StudyRunState = "waiting" | "started" | "failed" | "damaged" | "finished";

/** What is known of a run. */
export interface StudyRun extends Pick<PlannedRun, "point" | "seed" | "hash"> {
  /** Its folder. */
  readonly folder: string;
  /** How far it is. */
  readonly state: StudyRunState;
  /** Why it failed, or which file is damaged. */
  readonly failure: string | null;
  /** Steps taken, of a finished run. */
  readonly steps: number | null;
  /** What computed it. */
  readonly device: string | null;
  /** The hash of the protocol that its numbers were measured by. */
  readonly protocol: string | null;
  /** Its numbers, where it is finished; seconds a step are none where the last session had no step left to take. */
  readonly measured: Readonly<Record<Measure, number | null>> | null;
}

/** The parts of `summary.json` that a study reads; PSNR is none where it was infinite. */
const SUMMARY = z.object({
  steps: z.int().min(0),
  device: z.string(),
  test: z.object({
    mse: z.number(),
    psnr: z.number().nullable(),
    usage: z.number(),
    perplexity: z.number(),
    protocol: z.string(),
  }),
  imagesPerSecond: z.number().nullable(),
});
const FAILURE = z.object({ reason: z.string() });

/** Reads what a run's folder says of it. */
export async function readRecord(run: PlannedRun): Promise<StudyRun> {
  try {
    return await readIntactRecord(run);
  } catch (error) {
    const { point, seed, hash, config: { out: folder } } = run;
    const failure = (error as Error).message;
    return { point, seed, hash, folder, state: "damaged", failure, ...WITHOUT_NUMBERS };
  }
}

const WITHOUT_NUMBERS = { steps: null, device: null, protocol: null, measured: null };

async function readIntactRecord({ point, seed, hash, config }: PlannedRun): Promise<StudyRun> {
  const folder = config.out;
  const known = { point, seed, hash, folder };
  const summary = await readJsonFileIfThere(join(folder, "summary.json"), SUMMARY);
  if (summary !== undefined) {
    const { steps, device, test, imagesPerSecond } = summary;
    const { mse, psnr, usage, perplexity, protocol } = test;
    const secondsPerStep = imagesPerSecond === null
      ? null
      : config.training.batchSize / imagesPerSecond;
    const measured = { usage, perplexity, mse, psnr, secondsPerStep };
    return { ...known, state: "finished", failure: null, steps, device, protocol, measured };
  }
  const failed = await readJsonFileIfThere(failureFile(folder), FAILURE);
  const state = failed !== undefined
    ? "failed"
    : await new RunFolder(folder).isUntouched()
    ? "waiting"
    : "started";
  const failure = failed?.reason ?? null;
  return { ...known, state, failure, ...WITHOUT_NUMBERS };
}

/** Marks a run as failed. */
export async function writeFailure(folder: string, reason: string): Promise<void> {
  await writeAtomically(failureFile(folder), `${JSON.stringify({ reason })}\n`);
}

/** Forgets that a run failed. */
export async function clearFailure(folder: string): Promise<void> {
  await rm(failureFile(folder), { force: true });
}

function failureFile(folder: string): string {
  return join(folder, "failure.json");
}
