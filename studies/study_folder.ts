/** The folder of a study: `plan.json`, the runs in `runs/`, and the tables and the page of their results. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../files/bounded_json.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { takeLock } from "../files/folder_lock.ts";
import { drawStudy } from "./page.ts";
import { type Damage, damagesOf } from "./damage.ts";
import { type PlannedRun, runFolderOf, stage1Options } from "./plan.ts";
import { readPlan, type RecordedRun } from "./plan_file.ts";
import type { StudyRun } from "./records.ts";
import type { Study } from "./study.ts";
import { showCsv, showJsonLines, showMarkdown } from "./tables.ts";
import { readTrace, type RunTrace } from "./traces.ts";

/** A study with the whole configuration of each run. */
export interface StudyPlan {
  /** The study. */
  readonly study: Study;
  /** Its runs. */
  readonly runs: readonly PlannedRun[];
}

/** Writes and reads the files besides a study's runs. */
export class StudyFolder {
  /** The path of the folder. */
  readonly path: string;
  #last: Promise<void> = Promise.resolve();

  /** Refers to a folder; nothing is written yet. */
  constructor(path: string) {
    this.path = path;
  }

  /** Creates the folder, and prevents other processes from running a study in it until the lock is disposed or this
   * process ends.
   * @throws {Error} the folder cannot be created, or another process is running a study in it
   */
  async lock(): Promise<Disposable> {
    const { path } = this;
    try {
      await mkdir(path, { recursive: true });
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new Error(
        `Cannot make the folder ${path}: the location must be writable, got ${reason}`,
        { cause },
      );
    }
    const lock = await takeLock(join(path, "study.lock"));
    if (typeof lock !== "string") return lock;
    throw new Error(
      `Cannot run a study into ${path}: no other process must be running one there, got ${lock}`,
    );
  }

  /** Writes `plan.json`. */
  async writePlan(plan: StudyPlan): Promise<void> {
    await writeAtomically(this.#file("plan.json"), `${JSON.stringify(plan, null, 2)}\n`);
  }

  /** Reads `plan.json`. The folders of its runs are taken to be in this folder, wherever they were planned.
   * @throws {RangeError} the file does not exist, or is not a study
   */
  async readPlan(): Promise<{ readonly study: Study; readonly runs: readonly RecordedRun[] }> {
    try {
      const path = this.#file("plan.json");
      const plan = parseJson(await readFile(path, "utf8"), path);
      const below = stage1Options({ out: this.path }).out;
      return readPlan(
        plan,
        (hash) => runFolderOf(this.path, hash),
        (hash) => runFolderOf(below, hash),
      );
    } catch (cause) {
      throw new RangeError(
        `Cannot collect ${this.path}: it must be the folder of a study, with its plan.json, got ${
          (cause as Error).message
        }`,
        { cause },
      );
    }
  }

  /** Writes `study.jsonl`, `study.csv` and `study.md`; each call replaces them. */
  async writeTables(study: Study, records: readonly StudyRun[]): Promise<void> {
    const files = {
      "study.jsonl": showJsonLines(records),
      "study.csv": showCsv(records),
      "study.md": showMarkdown(study, records),
    };
    this.#last = this.#last.then(async () => {
      for (const [name, text] of Object.entries(files)) {
        await writeAtomically(this.#file(name), text);
      }
    });
    await this.#last;
  }

  /** Writes `study.html`.
   * @returns the files of the runs that could not be read
   */
  async writePage(study: Study, runs: readonly StudyRun[]): Promise<readonly Damage[]> {
    const traces = new Map<StudyRun, RunTrace>();
    for (const run of runs) {
      if (run.state === "finished") traces.set(run, await readTrace(run));
    }
    const traceOf = (run: StudyRun) => traces.get(run)!;
    await writeAtomically(this.#file("study.html"), drawStudy(study, runs, traceOf));
    return damagesOf(runs, traceOf);
  }

  #file(name: string): string {
    return join(this.path, name);
  }
}
