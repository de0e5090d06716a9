/** The folder of a run: `config.json`, `metrics.jsonl`, TensorBoard's events, `counts.json`, `checkpoints/`,
 * `samples/`, `summary.json`; after an evaluation also `evaluation.json` and `report.html`; and `trace.json` if a
 * profile was requested. */
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

/** The state of the run in a folder. `empty`: there is no run. `started`: the run is not finished and can be resumed.
 * `finished`: the run has a summary. */
export type RunStage = "empty" | "started" | "finished";

/** TensorBoard reads every file with `tfevents` in its name. */
const EVENTS = "events.out.tfevents.codebook", TEST_EVENTS = `test/${EVENTS}`;
const FILES = [
  ...["config.json", "metrics.jsonl", EVENTS, TEST_EVENTS, "counts.json"],
  ...["summary.json", "trace.json", "evaluation.json", "report.html"],
] as const;
const FOLDERS = ["checkpoints", "samples"] as const;
/** The largest number of test images in a sample grid. */
const SAMPLES = 16;

/** Writes and reads the files of a run. All except `metrics.jsonl` are replaced atomically: if the process is killed,
 * each file is either the old one or the complete new one.
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
  /** The path of the folder. */
  readonly path: string;
  /** Events of the training. */
  readonly #events: EventFile;
  /** Events of the evaluations. TensorBoard overlays curves of the same name if they are in different folders. */
  readonly #testEvents: EventFile;

  /** Refers to a folder; nothing is written yet. */
  constructor(path: string) {
    this.path = path;
    this.#events = new EventFile(join(path, EVENTS));
    this.#testEvents = new EventFile(join(path, TEST_EVENTS));
  }

  /** Whether the folder has a run, and whether the run is finished. */
  async state(): Promise<RunStage> {
    if (await exists(this.#file("summary.json"))) return "finished";
    const signs = ["config.json", "metrics.jsonl", ...FOLDERS].map((name) => this.#file(name));
    return (await Promise.all(signs.map(exists))).includes(true) ? "started" : "empty";
  }

  /** Whether the run has not recorded anything yet: it was killed before its first checkpoint, or has not started. */
  async isUntouched(): Promise<boolean> {
    const metrics = this.#file("metrics.jsonl");
    if (await exists(this.checkpoint("last"))) return false;
    return !await exists(metrics) || await readText(metrics) === "";
  }

  /** Creates the folder, and prevents other processes from training in it until the lock is disposed or this process
   * ends.
   * @throws {Error} the folder cannot be created, or another process is training in it
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

  /** Flushes appended data to the disk. If the power fails after the next checkpoint is written, the history up to it
   * is then on the disk.
   * @throws {Error} the files cannot be written
   */
  async sync(): Promise<void> {
    for (const name of ["metrics.jsonl", EVENTS, TEST_EVENTS]) {
      await using file = await open(this.#file(name), "r+");
      await file.sync();
    }
  }

  /** Prepares the folder for a run that continues after `step`: creates the subfolders, removes temporary files of a
   * killed run, removes the summary, and truncates `metrics.jsonl` and the event file after that step. If they end
   * before it, a record of kind `gap` marks the missing steps.
   * @param owesEvaluation whether the epoch that ends with `step` is evaluated again; its record is then removed too
   * @returns the last step of the history, if it is before `step`
   * @throws {Error} the folder cannot be written
   */
  async begin(step: number, owesEvaluation = false): Promise<number | undefined> {
    for (const folder of [this.path, ...FOLDERS.map((name) => this.#file(name))]) {
      await makeFolder(folder);
      for (const name of await readdir(folder)) {
        if (name.endsWith(PARTIAL_SUFFIX)) await rm(join(folder, name), { force: true });
      }
    }
    await rm(this.#file("summary.json"), { force: true });
    const metrics = this.#file("metrics.jsonl");
    const lines = await exists(metrics) ? (await readText(metrics)).split("\n") : [];
    const isKept = ({ step: own, kind }: HistoryLine) =>
      own < step || own === step && !(owesEvaluation && kind === "epoch");
    const kept = lines.filter((line) => isKept(readLine(line)));
    const last = kept.reduce((most, line) => Math.max(most, readLine(line).step), 0);
    if (last < step) kept.push(JSON.stringify({ kind: "gap", step, from: last }));
    await writeAtomically(metrics, kept.map((line) => `${line}\n`).join(""));
    await this.#events.begin(step);
    await this.#testEvents.begin(owesEvaluation ? step - 1 : step);
    if (step === 0 && await exists(this.#file("config.json"))) {
      await this.#events.text(0, "settings", settingsTable(await this.readConfig()));
    }
    return last < step ? last : undefined;
  }

  /** The path of the weights in a folder that `card` wrote: `model.safetensors`. */
  get model(): string {
    return this.#file("model.safetensors");
  }

  /** The path of a checkpoint. */
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

  /** Appends a record to `metrics.jsonl`, and its numbers to the event files. Numbers of training steps go to the event
   * file of the training, and numbers of test images to that of the evaluations, under the same names.
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

  /** Appends how often each code was chosen to the event file, and replaces `counts.json`.
   * @throws {Error} a file cannot be written
   */
  async logCounts(step: number, counts: Int32Array): Promise<void> {
    await this.#events.histogram(step, "codes", counts);
    await writeAtomically(this.#file("counts.json"), `[${counts.join()}]\n`);
  }

  /** Writes `samples/epoch-003.png`, and adds it to the event file.
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

  /** Writes `config.json`, and creates the folder if necessary.
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

  /** Removes the run, but no other files in the folder.
   * @throws {Error} the folder cannot be written
   */
  async clear(): Promise<void> {
    for (const name of [...FILES, ...FOLDERS]) {
      const path = this.#file(name);
      await rm(path, { recursive: true, force: true }).catch((cause: Error) => {
        throw new Error(
          `Cannot remove ${path}: the location must be writable, got ${cause.message}`,
          { cause },
        );
      });
    }
  }

  /** Writes `summary.json`, which marks the run as finished.
   * @throws {Error} the folder cannot be written
   */
  async writeSummary(summary: unknown): Promise<void> {
    await writeAtomically(this.#file("summary.json"), showJson(summary));
  }

  /** Writes `trace.json`, a profile as returned by `chromeTrace`, and returns its path.
   * @throws {Error} the folder cannot be written
   */
  async writeTrace(trace: string): Promise<string> {
    const path = this.#file("trace.json");
    await writeAtomically(path, trace);
    return path;
  }

  /** The records of `metrics.jsonl`, without an incomplete last one; an empty list if there is no such file.
   * @throws {DamagedFileError} the file cannot be read, or has other lines
   */
  async records(): Promise<readonly RunRecord[]> {
    return await readRecords(this.#file("metrics.jsonl"));
  }

  /** How often each code was chosen, `[K]`, as logged last; null if it was never logged.
   * @throws {DamagedFileError} the file cannot be read, or has other contents
   */
  async counts(): Promise<readonly number[] | null> {
    return await readCounts(this.#file("counts.json")) ?? null;
  }

  /** The path of the last epoch's picture, such as `samples/epoch-003.png`; null if there is none. */
  async lastPicture(): Promise<string | null> {
    const names = await readdir(this.#file("samples")).catch(() => []);
    const epochs = names.flatMap((name) => /^epoch-(\d+)\.png$/.exec(name)?.[1] ?? []);
    const last = epochs.toSorted((a, b) => Number(a) - Number(b)).at(-1);
    return last === undefined ? null : `samples/epoch-${last}.png`;
  }

  /** The samples of the last epoch that has a picture, with the precision of a PNG; null if there is none.
   * @param images the number of images in the set that the samples were taken from
   * @throws {DamagedFileError} the file cannot be read, or is not a picture of that many images of the shape
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

  /** Writes the measurements as `evaluation.json`, and the report as `report.html`.
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

/** The part of a line of `metrics.jsonl` that `begin` reads. */
interface HistoryLine {
  /** Infinite for an incomplete line. */
  readonly step: number;
  readonly kind?: unknown;
}

function readLine(line: string): HistoryLine {
  try {
    const { step, kind } = JSON.parse(line);
    return { step: typeof step === "number" ? step : Infinity, kind };
  } catch {
    return { step: Infinity };
  }
}

/** Settings as a Markdown table. */
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
      `Cannot make the folder ${path}: the location must be writable, got ${cause.message}`,
      { cause },
    );
  });
}

async function readText(path: string): Promise<string> {
  const bytes = await readWhole(path);
  if (bytes !== undefined) return new TextDecoder().decode(bytes);
  throw new DamagedFileError(path, "the file must exist and be readable", "none");
}
