/** What is known of the runs of a study. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../files/atomic_write.ts";
import { DamagedFileError } from "../training/read_back.ts";
import { readFailure, readSummary } from "../training/run_files.ts";
import { RunFolder } from "../training/run_folder.ts";
import type { Measure } from "./measures.ts";
import type { PlannedRun } from "./plan.ts";
import type { RecordedRun } from "./plan_file.ts";

/** How far a run of a study is: `waiting`, it has not begun; `started`, it can be resumed; `failed`, it is run again
 * only when asked; `damaged`, a file that says how far it is cannot be read; `finished`. */
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
  /** Its numbers, where it is finished; none where a run did not measure them, as seconds a step
   * where the last session had no step left to take. */
  readonly measured: Readonly<Record<Measure, number | null>> | null;
}

/** What is known of a run that is not finished. */
const NO_RESULT = { steps: null, device: null, protocol: null, measured: null };

/** Reads what a run's folder says of it; a file that cannot be read makes it a damaged one. */
export async function readRecord({ point, seed, hash, config }: RecordedRun): Promise<StudyRun> {
  const folder = config.out;
  const known = { point, seed, hash, folder };
  try {
    return { ...known, ...await readState(folder, config.training.batchSize) };
  } catch (cause) {
    if (!(cause instanceof DamagedFileError)) throw cause;
    return { ...known, state: "damaged", failure: cause.message, ...NO_RESULT };
  }
}

async function readState(
  folder: string,
  batchSize: number,
): Promise<Omit<StudyRun, "point" | "seed" | "hash" | "folder">> {
  const summary = await readSummary(folder);
  if (summary !== undefined) {
    const { steps, device, test, imagesPerSecond, measurements = [] } = summary;
    const { mse, psnr, usage, perplexity, protocol } = test;
    const secondsPerStep = imagesPerSecond === null ? null : batchSize / imagesPerSecond;
    const sharpness = measurements.find(({ metric }) => metric === "sharpness")?.value ?? null;
    const measured = { usage, perplexity, mse, psnr, sharpness, secondsPerStep };
    return { state: "finished", failure: null, steps, device, protocol, measured };
  }
  const failure = await readFailure(failureFile(folder)) ?? null;
  if (failure !== null) return { state: "failed", failure, ...NO_RESULT };
  const state = await new RunFolder(folder).isUntouched() ? "waiting" : "started";
  return { state, failure, ...NO_RESULT };
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
