/** The folder of a run: `config.json`, `metrics.jsonl`, TensorBoard's events, `counts.json`, `checkpoints/`, `samples/`,
 * `summary.json`, after an evaluation `evaluation.json` and `report.html`, and `trace.json` where a profile was asked
 * for. */
import { appendFile, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../files/bounded_json.ts";
import { PARTIAL_SUFFIX, writeAtomically } from "../files/atomic_write.ts";
import { takeLock } from "../files/folder_lock.ts";
import type { StateDictionary } from "../nn/module.ts";
import { type CheckpointHeader, saveCheckpoint } from "./checkpoint.ts";
import { flatSettings } from "./flat_settings.ts";
import { DamagedFileError, readWhole } from "./read_back.ts";
import type { RunRecord } from "./run_record.ts";
import { readCounts, readRecords } from "./run_files.ts";
import { EventFile, scalarsOf } from "./tensorboard/events.ts";
import { readSampleGrid, type Samples } from "../objectives/sample_grid.ts";

/** How far the run in a folder is: `empty`, there is none; `started`, there is one that has not come to its end, so
 * it can be resumed; `finished`, it has its summary. */
export type RunStage = "empty" | "started" | "finished";

/** TensorBoard takes every file with `tfevents` in its name. */
const EVENTS = "events.out.tfevents.codebook", TEST_EVENTS = `test/${EVENTS}`;
const FILES = [
  ...["config.json", "metrics.jsonl", EVENTS, TEST_EVENTS, "counts.json"],
  ...["summary.json", "trace.json", "evaluation.json", "report.html"],
] as const;
const FOLDERS = ["checkpoints", "samples"] as const;
/** Test images on a sample grid, at most. */
const SAMPLES = 16;

/** Writes and reads the files of a run. All but `metrics.jsonl` are replaced in one step, so that a kill leaves each
 * either as it was or whole.
 *
 * ```ts
 * import { RunFolder } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempDir();
 * const folder = new RunFolder(path);
 * assert.equal(await folder.state(), "empty");
 * await folder.writeConfig({ seed: 7 });
 * assert.equal(await folder.state(), "started");
 * assert.deepEqual(await folder.readConfig(), { seed: 7 });
 * await Deno.remove(path, { recursive: true });
 * ```
 */
export class RunFolder {
  /** Where it is. */
  readonly path: string;
  /** Of the training. */
  readonly #events: EventFile;
  /** Of the evaluations: TensorBoard lays curves of one name over each other where they are in different folders. */
  readonly #testEvents: EventFile;

  /** Names a folder; nothing is written yet. */
  constructor(path: string) {
    this.path = path;
    this.#events = new EventFile(join(path, EVENTS));
    this.#testEvents = new EventFile(join(path, TEST_EVENTS));
  }

  /** Whether a run is in the folder, and whether it came to its end. */
  async state(): Promise<RunStage> {
    if (await exists(this.#file("summary.json"))) return "finished";
    const signs = ["config.json", "metrics.jsonl", ...FOLDERS].map((name) => this.#file(name));
    return (await Promise.all(signs.map(exists))).includes(true) ? "started" : "empty";
  }

  /** Whether the run has not recorded anything yet: it was killed before its first checkpoint, or is yet to start. */
  async isUntouched(): Promise<boolean> {
    const metrics = this.#file("metrics.jsonl");
    if (await exists(this.checkpoint("last"))) return false;
    return !await exists(metrics) || await readText(metrics) === "";
  }

  /** Makes the folder, and keeps other processes from training in it until the lock is disposed of, or this process
   * ends.
   * @throws {Error} the folder cannot be made, or another process trains in it
   */
  async lock(): Promise<Disposable> {
    await makeFolder(this.path);
    const lock = await takeLock(this.#file("run.lock"));
    if (typeof lock !== "string") return lock;
    throw new Error(
      `Cannot train into ${this.path}: no other process must be training there, got ${lock}; ` +
        "--out chooses another folder",
    );
  }

  /** Flushes what was appended to the disk, so that a checkpoint that is written next finds its history there after a
   * loss of power.
   * @throws {Error} the files cannot be written
   */
  async sync(): Promise<void> {
    for (const name of ["metrics.jsonl", EVENTS, TEST_EVENTS]) {
      await using file = await open(this.#file(name), "r+");
      await file.sync();
    }
  }

  /** Makes the folder ready for a run that goes on after `step`: makes its folders, removes what was left by a run
   * that was killed, takes the summary away, and cuts `metrics.jsonl` and the event file
   * back to what they have up to that step. Where they end before it, a record of the kind `gap` marks the place.
   * @returns the step that the history ends with, where it is short of `step`
   * @throws {Error} the folder cannot be written
   */
  async begin(step: number): Promise<number | undefined> {
    for (const folder of [this.path, ...FOLDERS.map((name) => this.#file(name))]) {
      await makeFolder(folder);
      for (const name of await readdir(folder)) {
        if (name.endsWith(PARTIAL_SUFFIX)) await rm(join(folder, name), { force: true });
      }
    }
    await rm(this.#file("summary.json"), { force: true });
    const metrics = this.#file("metrics.jsonl");
    const lines = await exists(metrics) ? (await readText(metrics)).split("\n") : [];
    const kept = lines.filter((line) => stepOf(line) <= step);
    const last = kept.reduce((most, line) => Math.max(most, stepOf(line)), 0);
    if (last < step) kept.push(JSON.stringify({ kind: "gap", step, from: last }));
    await writeAtomically(metrics, kept.map((line) => `${line}\n`).join(""));
    await this.#events.begin(step);
    await this.#testEvents.begin(step);
    if (step === 0 && await exists(this.#file("config.json"))) {
      await this.#events.text(0, "settings", settingsTable(await this.readConfig()));
    }
    return last < step ? last : undefined;
  }

  /** Where the weights are in a folder that `card` made: `model.safetensors`. */
  get model(): string {
    return this.#file("model.safetensors");
  }

  /** Where a checkpoint is. */
  checkpoint(name: "last" | "best" | "weights"): string {
    return join(this.path, "checkpoints", `${name}.safetensors`);
  }

  /** Writes a state and its header as a checkpoint.
   * @throws {Error} the file cannot be written
   */
  async saveCheckpoint(
    name: "last" | "best" | "weights",
    state: StateDictionary,
    header: CheckpointHeader,
  ): Promise<void> {
    await saveCheckpoint(this.checkpoint(name), state, header);
  }

  /** Appends a record to `metrics.jsonl`, and its numbers to the event files: those of steps to that of the training,
   * those of test images to that of the evaluations, under the same names.
   * @throws {Error} the file cannot be written
   */
  async log(record: { readonly step: number; readonly [name: string]: unknown }): Promise<void> {
    const path = this.#file("metrics.jsonl");
    await appendFile(path, `${JSON.stringify(record)}\n`).catch((cause: Error) => {
      throw new Error(
        `Cannot write ${path}: the folder must exist and be writable, got ${cause.message}`,
        { cause },
      );
    });
    const { kind, step, epoch: _, validation, test = validation, ...rest } = record;
    if (kind === "step") await this.#events.scalars(step, scalarsOf(rest));
    if (typeof test === "object" && test !== null) {
      const { images: _, ...numbers } = test as Readonly<Record<string, unknown>>;
      await this.#testEvents.scalars(step, scalarsOf(numbers));
    }
  }

  /** Appends how often each code was chosen to the event file, and leaves it in `counts.json`, in place of the step's
   * before.
   * @throws {Error} a file cannot be written
   */
  async logCounts(step: number, counts: Int32Array): Promise<void> {
    await this.#events.histogram(step, "codes", counts);
    await writeAtomically(this.#file("counts.json"), `[${counts.join()}]\n`);
  }

  /** Writes `samples/epoch-003.png`; the event file has it too.
   * @throws {Error} the file cannot be written
   */
  async saveSamples(
    { epoch, step }: { readonly epoch: number; readonly step: number },
    png: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const name = `epoch-${String(epoch).padStart(3, "0")}.png`;
    await writeAtomically(join(this.path, "samples", name), png);
    await this.#events.image(step, "samples", png);
  }

  /** Writes `config.json`, and makes the folder if need be.
   * @throws {Error} the folder cannot be written
   */
  async writeConfig(config: unknown): Promise<void> {
    await makeFolder(this.path);
    await writeAtomically(this.#file("config.json"), showJson(config));
  }

  /** Reads `config.json`.
   * @throws {Error} it is missing or cannot be read
   * @throws {RangeError} it is not JSON
   */
  async readConfig(): Promise<unknown> {
    const path = this.#file("config.json");
    const text = await readText(path);
    try {
      return parseJson(text, path);
    } catch (cause) {
      throw new RangeError(
        `Cannot read ${path}: it must be JSON, got ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  }

  /** Removes the run, and nothing else that lies in the folder.
   * @throws {Error} the folder cannot be written
   */
  async clear(): Promise<void> {
    for (const name of [...FILES, ...FOLDERS]) {
      const path = this.#file(name);
      await rm(path, { recursive: true, force: true }).catch((cause: Error) => {
        throw new Error(
          `Cannot remove ${path}: it must be possible to write there, got ${cause.message}`,
          { cause },
        );
      });
    }
  }

  /** Writes `summary.json`: from then on the run is finished.
   * @throws {Error} the folder cannot be written
   */
  async writeSummary(summary: unknown): Promise<void> {
    await writeAtomically(this.#file("summary.json"), showJson(summary));
  }

  /** Writes `trace.json`, a profile as `chromeTrace` gives it, and gives its path.
   * @throws {Error} the folder cannot be written
   */
  async writeTrace(trace: string): Promise<string> {
    const path = this.#file("trace.json");
    await writeAtomically(path, trace);
    return path;
  }

  /** The records of `metrics.jsonl`, without one that a kill cut short; none where there is no such file.
   * @throws {DamagedFileError} the file cannot be read, or has other lines
   */
  async records(): Promise<readonly RunRecord[]> {
    return await readRecords(this.#file("metrics.jsonl"));
  }

  /** How often each code was chosen when that was logged last, `[K]`; none where it was not.
   * @throws {DamagedFileError} the file cannot be read, or holds something else
   */
  async counts(): Promise<readonly number[] | null> {
    return await readCounts(this.#file("counts.json")) ?? null;
  }

  /** The picture of the last epoch that has one, as `samples/epoch-003.png`; none where no epoch has. */
  async lastPicture(): Promise<string | null> {
    const names = await readdir(this.#file("samples")).catch(() => []);
    const epochs = names.flatMap((name) => /^epoch-(\d+)\.png$/.exec(name)?.[1] ?? []);
    const last = epochs.toSorted((a, b) => Number(a) - Number(b)).at(-1);
    return last === undefined ? null : `samples/epoch-${last}.png`;
  }

  /** The samples of the last epoch that has some, as far as a PNG keeps them; none where no epoch has.
   * @param images how many the set has that they were taken from
   * @throws {DamagedFileError} the file cannot be read, or is not a picture of so many images of the shape
   */
  async lastSamples(images: number, imageShape: Samples["imageShape"]): Promise<Samples | null> {
    const name = await this.lastPicture();
    if (name === null) return null;
    const path = this.#file(name), png = await readWhole(path);
    if (png === undefined) return null;
    try {
      return readSampleGrid(png, Math.min(SAMPLES, images), imageShape);
    } catch (cause) {
      const reason = (cause as Error).message.replace(/^Cannot read samples: /, "");
      throw new DamagedFileError(path, "it must be the picture of the run's samples", reason, {
        cause,
      });
    }
  }

  /** Writes what was measured as `evaluation.json`, and its report as `report.html`.
   * @throws {Error} the folder cannot be written
   */
  async writeEvaluation(result: unknown, report: string): Promise<void> {
    await writeAtomically(this.#file("evaluation.json"), showJson(result));
    await writeAtomically(this.#file("report.html"), report);
  }

  #file(name: string): string {
    return join(this.path, name);
  }
}

/** The step of a line of `metrics.jsonl`; infinite for one that a kill cut short. */
function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line);
    return typeof step === "number" ? step : Infinity;
  } catch {
    return Infinity;
  }
}

/** Settings as a table of Markdown. */
function settingsTable(config: unknown): string {
  const rows = flatSettings(config).map(([path, value]) =>
    `| ${path} | ${JSON.stringify(value)} |`
  );
  return ["| setting | value |", "| --- | --- |", ...rows].join("\n");
}

function showJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, () => false);
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: Error) => {
    throw new Error(
      `Cannot make the folder ${path}: it must be possible to write there, got ${cause.message}`,
      { cause },
    );
  });
}

async function readText(path: string): Promise<string> {
  const bytes = await readWhole(path);
  if (bytes !== undefined) return new TextDecoder().decode(bytes);
  throw new DamagedFileError(path, "the file must exist and be readable", "none");
}
