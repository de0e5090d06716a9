/** Runs a study. */
import type { Damage } from "./damage.ts";
import type { Launcher } from "./launchers/launcher.ts";
import { LocalLauncher, type LocalOptions } from "./launchers/local.ts";
import { type PlannedRun, type PlanOptions, planRuns, stage1Options } from "./plan.ts";
import { readRecord, type StudyRun } from "./records.ts";
import { readStudy, type Study } from "./study.ts";
import { StudyFolder } from "./study_folder.ts";

/** Options of `launchStudy`: which runs to launch. */
export interface LaunchOptions extends PlanOptions {
  /** Launches failed runs again. */
  readonly retry?: boolean;
}

/** Options of `runStudy`. */
export interface StudyOptions extends LaunchOptions, LocalOptions {}

/** A study that was launched. */
export interface LaunchedStudy {
  /** The record of every run. */
  readonly records: readonly StudyRun[];
  /** The next things to do according to the launcher, one per line. */
  readonly next: readonly string[];
  /** The files of the runs that could not be read. */
  readonly damage: readonly Damage[];
  /** The same for the first stages, if the study has its own. */
  readonly stage1?: LaunchedStudy;
}

/** Runs the remaining runs of a study, each in a separate process. It writes `study.jsonl`, `study.csv`, `study.md`
 * and, at the end, `study.html` to the study's folder, besides `plan.json` and `runs/`.
 *
 * A run is identified by the hash of its configuration. A finished run is not run again. A stopped or killed run
 * continues from its last checkpoint. A failed run is skipped unless `retry` is set. A damaged run is skipped until the
 * file that its failure names is repaired or removed. So if a stopped study is run again, it continues, and a changed
 * study runs only what is new. Runs that are no longer in the study stay in `runs/`, but are not in the tables.
 *
 * ```ts
 * import { runStudy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = {
 *   name: "sizes",
 *   base: {
 *     device: "cpu",
 *     model: { hidden: 8, residualHidden: 4 },
 *     quantizer: { codebookDim: 4 },
 *     training: { maxSteps: 2, batchSize: 16 },
 *   },
 *   axes: [{ path: "quantizer.codebookSize", values: [8, 16] }],
 * };
 * const records = await runStudy(study, { out, jobs: 2 });
 * assert.deepEqual(records.map(({ state }) => state), ["finished", "finished"]);
 * assert.ok(records[1].measured?.usage);
 * await Deno.remove(out, { recursive: true });
 * ```
 * @returns the final record of every run
 * @throws {RangeError} the study is not valid, or a run's configuration is not allowed; thrown before anything runs
 * @throws {Error} the folder cannot be written, or another process runs a study in it
 */
export async function runStudy(study: Study, options: StudyOptions): Promise<readonly StudyRun[]> {
  const { records } = await launchStudy(study, new LocalLauncher(options), options);
  return records;
}

/** Computes the remaining runs of a study with a launcher; otherwise like `runStudy`. `collectStudy` collects the
 * results of runs that are computed elsewhere.
 *
 * ```ts
 * import { launchStudy, PrintLauncher } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = { name: "sizes", axes: [{ path: "quantizer.codebookSize", values: [8, 16] }] };
 * const { records, next } = await launchStudy(study, new PrintLauncher(), { out });
 * assert.equal(records[0].state, "waiting");
 * assert.equal(next.length, 2); // Commands for a shell.
 * await Deno.remove(out, { recursive: true });
 * ```
 * @throws {RangeError} the study is not valid, or a run's configuration is not allowed; thrown before anything is
 * launched
 * @throws {Error} the folder cannot be written, another process runs a study in it, or the launcher cannot launch
 */
export async function launchStudy(
  study: Study,
  launcher: Launcher,
  options: LaunchOptions,
): Promise<LaunchedStudy> {
  const { out, retry = false } = options;
  const checked = readStudy(study);
  launcher.check?.(checked);
  const runs = await planRuns(checked, options);
  const folder = new StudyFolder(out);
  using _lock = await folder.lock();
  const stage1 = checked.stage1 &&
    await launchStudy(checked.stage1, launcher, { ...stage1Options(options), retry });
  const stages = new Map(stage1?.records.map(({ hash, state }) => [hash, state]));
  await folder.writePlan({ study: checked, runs });
  const records = new Map<string, StudyRun>();
  for (const run of runs) records.set(run.hash, await readRecord(run));
  await folder.writeTables(checked, [...records.values()]);
  const left = runs.filter(({ hash }) => {
    const { state } = records.get(hash)!;
    return state === "waiting" || state === "started" || state === "failed" && retry;
  });
  const onEnd = async (run: PlannedRun) => {
    records.set(run.hash, await readRecord(run));
    await folder.writeTables(checked, [...records.values()]);
  };
  const ready = left.filter(({ stage1 }) =>
    stage1 === undefined || stages.get(stage1.hash) === "finished"
  );
  const next = ready.length === 0
    ? []
    : await launcher.launch({ study: checked, out, runs: ready, onEnd });
  const waiting = left.length - ready.length;
  const known = [...records.values()];
  return {
    records: known,
    next: [
      ...stage1?.next ?? [],
      ...next,
      ...waiting === 0 ? [] : [
        `${waiting} of the runs wait for their first stages; the same command launches them once those are finished`,
      ],
    ],
    damage: await folder.writePage(checked, known),
    ...stage1 && { stage1 },
  };
}
