/** What is known of the runs of a study. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../core/bounded_json.ts";
import { writeAtomically } from "../../core/atomic_write.ts";
import { RunFolder } from "../run_folder.ts";
import type { Measure } from "./measures.ts";
import type { PlannedRun } from "./plan.ts";

/** How far a run of a study is: `waiting`, it has not begun; `started`, it can be resumed; `failed`, it is run again
 * only when asked; `finished`. */
export type StudyRunState = "waiting" | "started" | "failed" | "finished";

/** What is known of a run. */
export interface StudyRun extends Pick<PlannedRun, "point" | "seed" | "hash"> {
  /** Its folder. */
  readonly folder: string;
  /** How far it is. */
  readonly state: StudyRunState;
  /** Why it failed. */
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

/** The parts of `summary.json` that a study reads. */
interface Summary {
  readonly steps: number;
  readonly device: string;
  readonly test: {
    readonly mse: number;
    readonly psnr: number;
    readonly usage: number;
    readonly perplexity: number;
    readonly protocol: string;
  };
  readonly imagesPerSecond: number | null;
}

/** Reads what a run's folder says of it.
 * @throws {Error} a file cannot be read
 */
export async function readRecord({ point, seed, hash, config }: PlannedRun): Promise<StudyRun> {
  const folder = config.out;
  const known = { point, seed, hash, folder };
  const summary = await readJson<Summary>(join(folder, "summary.json"));
  if (summary !== undefined) {
    const { steps, device, test, imagesPerSecond } = summary;
    const { mse, psnr, usage, perplexity, protocol } = test;
    const secondsPerStep = imagesPerSecond === null
      ? null
      : config.training.batchSize / imagesPerSecond;
    const measured = { usage, perplexity, mse, psnr, secondsPerStep };
    return { ...known, state: "finished", failure: null, steps, device, protocol, measured };
  }
  const failed = await readJson<{ readonly reason: string }>(failureFile(folder));
  const state = failed !== undefined
    ? "failed"
    : await new RunFolder(folder).isUntouched()
    ? "waiting"
    : "started";
  const failure = failed?.reason ?? null;
  return { ...known, state, failure, steps: null, device: null, protocol: null, measured: null };
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

/** A file's JSON; undefined where there is no file. */
async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return parseJson(await readFile(path, "utf8"), path);
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    throw new Error(`Cannot read ${path}: it must hold JSON, got ${(cause as Error).message}`, {
      cause,
    });
  }
}
