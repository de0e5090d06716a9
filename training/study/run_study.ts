/** Runs a study. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { availableParallelism } from "node:os";
import { writeAtomically } from "../../core/atomic_write.ts";
import { RunFolder } from "../run_folder.ts";
import { drawStudy } from "./page.ts";
import { type PlannedRun, type PlanOptions, planRuns } from "./plan.ts";
import { clearFailure, readRecord, type StudyRun, writeFailure } from "./records.ts";
import { trainInProcess } from "./run_process.ts";
import { readStudy, type Study } from "./study.ts";
import { showCsv, showJsonLines, showMarkdown } from "./tables.ts";
import { readTrace, type RunTrace } from "./traces.ts";

/** Something that happened to a run. */
export interface StudyEvent {
  /** What: it began or goes on, it printed a line for people, or it ended one way or another. */
  readonly kind: "started" | "line" | "finished" | "stopped" | "failed";
  /** The run. */
  readonly run: PlannedRun;
  /** The line, or the reason of a failure. */
  readonly text: string;
}

/** How a study is run. */
export interface StudyOptions extends PlanOptions {
  /** Runs at a time, 1 by default; they share the threads of the device `cpu`. */
  readonly jobs?: number;
  /** Runs those again that failed before. */
  readonly retry?: boolean;
  /** Stops the study, its runs with a checkpoint each. */
  readonly signal?: AbortSignal;
  /** Hears what happens. */
  readonly onEvent?: (event: StudyEvent) => void;
}

/** Runs what is left of a study, every run in a process of its own, and leaves `study.jsonl`, `study.csv`,
 * `study.md` and, in the end, `study.html` in its folder, beside `runs/`.
 *
 * A run is recognised by the hash of its configuration: one that is finished is not run again, one that was stopped or
 * killed goes on from its last checkpoint, one that failed is left alone unless `retry` is set. So a study that was
 * stopped goes on when it is run again, and one that was changed runs what is new; runs that are no longer in it stay in
 * `runs/`, in no table.
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
 * @returns what is known of every run in the end
 * @throws {RangeError} the study is not one, or a run's configuration is not allowed; before anything runs
 * @throws {Error} the folder cannot be written, or another process runs a study in it
 */
export async function runStudy(study: Study, options: StudyOptions): Promise<StudyRun[]> {
  const { out, jobs = 1, retry = false, signal = new AbortController().signal } = options;
  if (!(Number.isInteger(jobs) && jobs >= 1)) {
    throw new RangeError(`Cannot run a study: jobs must be an integer of at least 1, got ${jobs}`);
  }
  const checked = readStudy(study);
  const runs = await planRuns(checked, options);
  using _lock = await lockFolder(out);
  const records = new Map<string, StudyRun>();
  for (const run of runs) records.set(run.hash, await readRecord(run));
  const table = new TableFiles(out, checked);
  await table.write([...records.values()]);
  const left = runs.filter(({ hash }) => {
    const { state } = records.get(hash)!;
    return state !== "finished" && (state !== "failed" || retry);
  }).values();
  const work = async () => {
    for (const run of left) { // All workers take from one queue.
      if (signal.aborted) return;
      await carryOut(run, { ...options, jobs, signal });
      records.set(run.hash, await readRecord(run));
      await table.write([...records.values()]);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const known = [...records.values()];
  await writePage(out, checked, known);
  return known;
}

/** Runs one run to whatever end. */
async function carryOut(
  run: PlannedRun,
  { jobs, signal, onEvent = () => {} }: StudyOptions & { jobs: number; signal: AbortSignal },
): Promise<void> {
  const { out, cpu } = run.config;
  const threads = cpu.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs));
  await clearFailure(out);
  await new RunFolder(out).writeConfig({ ...run.config, cpu: { ...cpu, threads } });
  onEvent({ kind: "started", run, text: "" });
  const end = await trainInProcess(out, {
    signal,
    onLine: (text) => onEvent({ kind: "line", run, text }),
  });
  const text = end.kind === "failed" ? end.reason : "";
  if (end.kind === "failed") await writeFailure(out, text);
  onEvent({ kind: end.kind, run, text });
}

/** The files beside a study's runs, always of the newest records. */
class TableFiles {
  readonly #out: string;
  readonly #study: Study;
  #last: Promise<void> = Promise.resolve();

  constructor(out: string, study: Study) {
    this.#out = out;
    this.#study = study;
  }

  async write(records: readonly StudyRun[]): Promise<void> {
    const files = {
      "study.jsonl": showJsonLines(records),
      "study.csv": showCsv(records),
      "study.md": showMarkdown(this.#study, records),
    };
    this.#last = this.#last.then(async () => {
      for (const [name, text] of Object.entries(files)) {
        await writeAtomically(join(this.#out, name), text);
      }
    });
    await this.#last;
  }
}

/** Writes `study.html`. */
async function writePage(out: string, study: Study, runs: readonly StudyRun[]): Promise<void> {
  const traces = new Map<StudyRun, RunTrace>();
  for (const run of runs) {
    if (run.state === "finished") traces.set(run, await readTrace(run));
  }
  await writeAtomically(join(out, "study.html"), drawStudy(study, runs, (run) => traces.get(run)!));
}

/** Makes a study's folder and keeps other processes from running a study in it until the lock is disposed of, or this
 * process ends. */
async function lockFolder(path: string): Promise<Disposable> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(
      `Cannot make the folder ${path}: it must be possible to write there, got ${reason}`,
      { cause },
    );
  }
  const file = await Deno.open(join(path, "study.lock"), { create: true, write: true });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new Error(
    `Cannot run a study into ${path}: no other process must be running one there, got one that is`,
  );
}
