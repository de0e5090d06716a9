/** Records of the runs of a study. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../files/atomic_write.ts";
import { DamagedFileError } from "../training/read_back.ts";
import {
  readFailure,
  readRunCosts,
  readSummary,
  type RunCosts,
  type RunSummary,
} from "../training/run_files.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readJudgement } from "./judging.ts";
import type { Measure } from "./measures.ts";
import type { PlannedRun } from "./plan.ts";
import type { RecordedRun } from "./plan_file.ts";

/** The state of a run. `waiting`: it has not started. `started`: it can be resumed. `failed`: it is run again only on
 * request. `damaged`: a file that determines its state cannot be read. `finished`: it is complete. */
export type StudyRunState = "waiting" | "started" | "failed" | "damaged" | "finished";

/** The record of a run. */
export interface StudyRun extends Pick<PlannedRun, "point" | "seed" | "hash"> {
  /** Its folder. */
  readonly folder: string;
  /** Its state. */
  readonly state: StudyRunState;
  /** Why it failed, or which file is damaged. */
  readonly failure: string | null;
  /** The number of steps, if it is finished. */
  readonly steps: number | null;
  /** The device that computed it. */
  readonly device: string | null;
  /** The hash of the protocol of its measurements. */
  readonly protocol: string | null;
  /** Its measurements, if it is finished. A value is null if it was not measured, such as the seconds per step if the
   * last session had no step left to take. */
  readonly measured: Readonly<Partial<Record<Measure, number | null>>> | null;
}

/** The record of a run that is not finished. */
const NO_RESULT = { steps: null, device: null, protocol: null, measured: null };

/** Reads the record of a run from its folder. If a file cannot be read, the run is `damaged`. */
export async function readRecord(run: RecordedRun): Promise<StudyRun> {
  const { point, seed, hash, config: { out: folder } } = run;
  const known = { point, seed, hash, folder };
  try {
    return { ...known, ...await readState(run) };
  } catch (cause) {
    if (!(cause instanceof DamagedFileError)) throw cause;
    return { ...known, state: "damaged", failure: cause.message, ...NO_RESULT };
  }
}

async function readState(
  run: RecordedRun,
): Promise<Omit<StudyRun, "point" | "seed" | "hash" | "folder">> {
  const folder = run.config.out;
  const result = run.judging === undefined ? await readResult(run) : await readJudged(run);
  if (result !== undefined) return { state: "finished", failure: null, ...result };
  const failure = await readFailure(failureFile(folder)) ?? null;
  if (failure !== null) return { state: "failed", failure, ...NO_RESULT };
  const state = await new RunFolder(folder).isUntouched() ? "waiting" : "started";
  return { state, failure, ...NO_RESULT };
}

/** The metrics whose value is a FID in some network's features. */
const DISTANCES = ["fid", "learnt-fid", "digit-fid"];

/** The part of the record that only finished runs have. */
type Result = Pick<StudyRun, "steps" | "device" | "protocol" | "measured">;

async function readResult({ config }: RecordedRun): Promise<Result | undefined> {
  const summary = await readSummary(config.out);
  if (summary === undefined) return undefined;
  const { steps, device, test } = summary, { protocol, ...numbers } = test;
  const { mse, psnr, usage, perplexity } = numbers;
  const measured = {
    ...{ usage, perplexity, mse, psnr },
    ...{ ssim: finalMetric(summary, ["ssim"]), sharpness: finalMetric(summary, ["sharpness"]) },
    fid: finalMetric(summary, DISTANCES),
    ...costsOf(summary, config),
  };
  return { steps, device, protocol, measured };
}

/** Reads the result of a generator's run, which is finished once it has been evaluated. */
async function readJudged({ config, judging, stage1 }: RecordedRun): Promise<Result | undefined> {
  const summary = await readRunCosts(config.out);
  const { type } = config.objective;
  const judgement = summary && await readJudgement(config.out, judging && { type, ...judging });
  if (summary === undefined || judgement === undefined) return undefined;
  const below = stage1 && await readSummary(stage1.folder);
  const measured = {
    ...{ ...costsOf(summary, config), ...judgement.measured },
    ...below && {
      ...{ stage1Usage: below.test.usage, stage1Mse: below.test.mse },
      stage1Fid: finalMetric(below, DISTANCES),
    },
  };
  const { steps, device } = summary;
  return { steps, device, protocol: judgement.hash, measured };
}

/** The first of some metrics that a first stage was measured with at its end: `training.metrics`. */
function finalMetric(
  { measurements = [] }: RunSummary,
  names: readonly string[],
): number | null {
  return measurements.find(({ metric }) => names.includes(metric))?.value ?? null;
}

/** The cost of a run: the speed of its last session, extrapolated to all steps. */
function costsOf(
  { steps, imagesPerSecond, parameters }: RunCosts,
  { training: { batchSize } }: RecordedRun["config"],
) {
  const secondsPerStep = imagesPerSecond === null ? null : batchSize / imagesPerSecond;
  const trainingSeconds = secondsPerStep === null ? null : secondsPerStep * steps;
  return { parameters: parameters ?? null, secondsPerStep, trainingSeconds };
}

/** Marks a run as failed. */
export async function writeFailure(folder: string, reason: string): Promise<void> {
  await writeAtomically(failureFile(folder), `${JSON.stringify({ reason })}\n`);
}

/** Removes the mark that a run failed. */
export async function clearFailure(folder: string): Promise<void> {
  await rm(failureFile(folder), { force: true });
}

function failureFile(folder: string): string {
  return join(folder, "failure.json");
}
