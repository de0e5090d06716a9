/** Compares runs that were trained independently. */
import { basename, resolve } from "node:path";
import { showSetting } from "../settings/settings.ts";
import type { Config } from "../training/config.ts";
import { flatSettings } from "../training/flat_settings.ts";
import { runHash } from "../training/identity.ts";
import { resolveConfig } from "../training/resolve.ts";
import { type EvaluatedNumber, readEvaluation } from "../training/run_files.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readRecord, type StudyRun } from "./records.ts";
import { readTrace, type RunTrace } from "./traces.ts";

/** A run in a comparison. */
export interface ComparedRun {
  /** Its name: that of its folder, or the whole path if two folders have the same name. */
  readonly name: string;
  /** Its configuration. */
  readonly config: Config;
  /** Its record, as for a study's run; the name is its only axis. */
  readonly record: StudyRun;
  /** Its trace, if it is finished. */
  readonly trace: RunTrace | null;
  /** The last measurements of `evaluate`. */
  readonly evaluated: readonly EvaluatedNumber[];
}

/** Reads runs of first stages, finished or not.
 *
 *     const runs = await readComparedRuns(["runs/digits", "runs/fsq"]);
 *
 * @param paths the folders of the runs
 * @throws {Error} a folder holds no run, or its configuration cannot be read
 * @throws {RangeError} there are fewer than two, a folder is given twice, or a run is of a generator
 */
export async function readComparedRuns(
  paths: readonly string[],
): Promise<readonly ComparedRun[]> {
  const folders = paths.map((path) => resolve(path));
  const isUnique = (names: readonly string[]) => new Set(names).size === names.length;
  if (paths.length < 2 || !isUnique(folders)) {
    throw new RangeError(
      `Cannot compare runs: there must be at least two different folders, got ${paths.join(", ")}`,
    );
  }
  const short = folders.map((folder) => basename(folder));
  const names = isUnique(short) ? short : paths;
  return await Promise.all(paths.map((path, at) => readComparedRun(path, names[at])));
}

async function readComparedRun(path: string, name: string): Promise<ComparedRun> {
  const folder = new RunFolder(path);
  if (await folder.state() === "empty") {
    throw new Error(`Cannot compare ${path}: the folder must hold a run, got none`);
  }
  const config = { ...resolveConfig({ saved: await folder.readConfig() }), out: path };
  if (config.quantizer === undefined) {
    throw new RangeError(
      `Cannot compare ${path}: the run must be of a first stage, got the objective ${config.objective.type}`,
    );
  }
  const { seed } = config;
  const record = await readRecord({
    ...{ point: { run: name }, seed, hash: await runHash(config), config },
  });
  const trace = record.state === "finished" ? await readTrace(record) : null;
  return { name, config, record, trace, evaluated: await readEvaluation(path) ?? [] };
}

/** A setting that differs between runs. */
export interface DifferingSetting {
  /** Its path in the configuration. */
  readonly path: string;
  /** Its value in each run, as text; a dash if a run has no such setting. */
  readonly values: readonly string[];
}

/** The settings in which configurations differ, in the order of the first configuration that has them. The run's folder
 * is ignored.
 *
 * ```ts
 * import { differingSettings } from "./side_by_side.ts";
 * import { resolveConfig } from "../training/resolve.ts";
 * import assert from "node:assert/strict";
 * const configs = [32, 64].map((codebookSize) => resolveConfig({ flags: { quantizer: { codebookSize } } }));
 * const found = differingSettings(configs);
 * assert.deepEqual(found, [{ path: "quantizer.codebookSize", values: ["32", "64"] }]);
 * ```
 */
export function differingSettings(configs: readonly Config[]): readonly DifferingSetting[] {
  const flat = configs.map(({ out: _, ...config }) =>
    new Map(flatSettings(config).map(([path, value]) => [path, showValue(value)]))
  );
  const paths = new Set(flat.flatMap((settings) => [...settings.keys()]));
  return [...paths].flatMap((path) => {
    const values = flat.map((settings) => settings.get(path) ?? "–");
    return new Set(values).size === 1 ? [] : [{ path, values }];
  });
}

function showValue(value: unknown): string {
  return typeof value === "string" ? value : showSetting(value);
}
