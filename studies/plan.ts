/** The runs of a study. */
import { join, resolve } from "node:path";
import type { Config } from "../training/config.ts";
import { hasControls, printable } from "../training/printable.ts";
import { runHash } from "../training/identity.ts";
import { checkOrigins } from "../training/origins.ts";
import { objectiveKind, objectiveType, readSampling, takesStage1 } from "../objectives/registry.ts";
import { PRESETS, type Settings } from "../training/presets.ts";
import { merge, overlaySources } from "../training/resolve.ts";
import type { Judging } from "./judging.ts";
import type { PathAxis, ScaleName, SettingsAxis, SettingValue, Study } from "./study.ts";

/** Options of `planRuns`: which runs of a study to plan, and where. */
export interface PlanOptions {
  /** The study's folder. */
  readonly out: string;
  /** A size that the study has; by default `small` if it has that, otherwise the study unchanged. */
  readonly scale?: ScaleName;
  /** Settings that override the common ones of the runs; the axes override these. Settings that execute code or connect
   * to an address are accepted only here, not in the study, which may be a file. */
  readonly settings?: Settings;
}

/** One run of a study. */
export interface PlannedRun {
  /** Its point on every axis, by the axis's path or name. */
  readonly point: Readonly<Record<string, SettingValue>>;
  /** Its seed. */
  readonly seed: number;
  /** Its whole configuration; `out` is its folder. */
  readonly config: Config;
  /** The hash that identifies it: `runHash`. */
  readonly hash: string;
  /** How it is evaluated, for a generator. */
  readonly judging?: Judging;
  /** Its first stage, one of the study's runs of first stages. */
  readonly stage1?: Pick<PlannedRun, "hash"> & { readonly folder: string };
}

/** A point of an axis. */
interface Point {
  readonly axis: string;
  readonly value: SettingValue;
  readonly settings: Settings;
}

/** The seed of a study that names none. */
const DEFAULT_SEEDS = [42];

/** Settings that a study assigns to its runs itself. */
const GIVEN: ReadonlySet<string> = new Set(["seed", "out"]);
/** Sections that runs of first stages share with the runs that use them. */
const SHARED: readonly string[] = ["device", "precision", "cpu", "data"];
/** The point, on the axes of the first stages, of runs without a first stage. */
const NONE = "none";

/** Plans and validates all runs of a study: every combination with the first seed, then with the next.
 *
 * ```ts
 * import { planRuns } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const axes = [{ path: "quantizer.codebookSize", values: [32, 64] }];
 * const runs = await planRuns({ name: "sizes", axes, seeds: [1, 2] }, { out: "runs/sizes" });
 * assert.equal(runs.length, 4);
 * assert.equal(runs[3].config.quantizer.codebookSize, 64);
 * ```
 * @throws {RangeError} a setting is unknown, has a value that is not allowed, is set twice, or is assigned by the
 * study; two runs are equal; the study does not have the size; or the folder's name has control characters
 */
export async function planRuns(
  study: Study,
  { out, scale, settings = {} }: PlanOptions,
): Promise<readonly PlannedRun[]> {
  checkFolder(study, resolve(out));
  const chosen = scaleOf(study, scale);
  const base = [chosen.settings ?? {}, settingsAbove(study, settings)]
    .reduce(merge, study.base ?? {});
  const axes = study.axes.map(pointsOf);
  checkPaths(study, base, settingsAbove(study, settings), axes);
  const combinations = axes.reduce<readonly (readonly Point[])[]>(
    (before, points) => before.flatMap((some) => points.map((point) => [...some, point])),
    [[]],
  );
  const runs = new Map<string, PlannedRun>();
  const samples = chosen.samples ?? study.samples ?? null;
  const below = study.stage1 === undefined
    ? undefined
    : await planRuns(study.stage1, stage1Options({ out, scale, settings }));
  for (const seed of chosen.seeds ?? study.seeds ?? DEFAULT_SEEDS) {
    const both = below === undefined
      ? combinations.map((points) => ({ points, stage: undefined }))
      : pairsOf(study, base, stagesOf(study, below, seed), combinations);
    for (const { stage, points } of both) {
      const parts = { study, base, settings: settingsAbove(study, settings), points, seed, out };
      const run = await planRun({ ...parts, stage, samples });
      const same = runs.get(run.hash);
      if (same !== undefined) {
        throw new RangeError(
          `Cannot plan the study ${study.name}: its runs must differ in a setting that affects the result, got ${
            showRun(same)
          } and ${showRun(run)}, which do not`,
        );
      }
      runs.set(run.hash, run);
    }
  }
  return [...runs.values()];
}

/** The options for planning a study's first stages, whose runs are in its folder `stage1`. */
export function stage1Options({ out, scale, settings = {} }: PlanOptions): PlanOptions {
  const kept = [...SHARED, "quantizer"].flatMap((name) =>
    name in settings ? [[name, settings[name]]] : []
  );
  return { out: join(out, "stage1"), scale, settings: Object.fromEntries(kept) };
}

/** The settings of the runs that use first stages, without those of the quantiser, which apply to the first stages. */
function settingsAbove({ stage1 }: Study, { quantizer, ...settings }: Settings): Settings {
  return stage1 === undefined && quantizer !== undefined ? { ...settings, quantizer } : settings;
}

/** A first stage that runs use, and its point on the axes of the first stages; `run` is undefined for runs without one.
 */
interface Stage {
  readonly point: PlannedRun["point"];
  readonly run?: PlannedRun;
}

/** The first stages of a seed, and the choice of no first stage. */
function stagesOf({ name }: Study, below: readonly PlannedRun[], seed: number): readonly Stage[] {
  const own = below.filter((run) => run.seed === seed);
  if (own.length === 0) {
    throw new RangeError(
      `Cannot plan the study ${name}: its first stages must have a run of every seed, got none of ${seed}`,
    );
  }
  const axes = Object.keys(own[0].point);
  return [
    ...own.map((run) => ({ point: run.point, run })),
    { point: Object.fromEntries(axes.map((axis) => [axis, NONE])) },
  ];
}

/** Pairs each combination of points with the first stages that it can use.
 * @throws {RangeError} a combination can use none of them
 */
function pairsOf(
  { name }: Study,
  base: Settings,
  stages: readonly Stage[],
  combinations: readonly (readonly Point[])[],
): readonly { readonly stage: Stage; readonly points: readonly Point[] }[] {
  const pairs = stages.flatMap((stage) =>
    combinations.filter((points) => fits(base, points, stage)).map((points) => ({ stage, points }))
  );
  const alone = combinations.find((points) => pairs.every((pair) => pair.points !== points));
  if (alone === undefined) return pairs;
  const point = Object.fromEntries(alone.map(({ axis, value }) => [axis, value]));
  throw new RangeError(
    `Cannot plan the study ${name}: each objective must have a first stage with the codes that it takes, got none for ${
      showPoint(point)
    }`,
  );
}

/** Whether a first stage, or none, is what the objective of the points needs. */
function fits(base: Settings, points: readonly Point[], { run }: Stage): boolean {
  const own = points.map(({ settings }) => settings).reduce(merge, base);
  const preset = typeof own.preset === "string" ? PRESETS.get(own.preset) : undefined;
  const { objective } = merge(preset ?? {}, own);
  return takesStage1(objectiveType(objective), run?.config.quantizer?.type);
}

/** The folder of a run, in the folder of its study. */
export function runFolderOf(out: string, hash: string): string {
  return join(out, "runs", hash);
}

/** Describes a combination of the axes' points: `quantizer.codebookSize 32`. */
export function showPoint(point: PlannedRun["point"]): string {
  return printable(Object.entries(point).map(([axis, value]) => `${axis} ${value}`).join(", "));
}

/** The name of a run in messages: `quantizer.codebookSize 32, seed 42`. */
export function showRun({ point, seed }: Pick<PlannedRun, "point" | "seed">): string {
  return `${showPoint(point)}, seed ${seed}`;
}

/** Rejects a folder whose name is not allowed in a script, because scripts may launch runs. */
function checkFolder({ name }: Study, folder: string): void {
  if (!hasControls(folder)) return;
  throw new RangeError(
    `Cannot plan the study ${name}: its folder's name must have no control characters, got ${
      JSON.stringify(folder)
    }`,
  );
}

interface RunParts {
  readonly study: Study;
  readonly base: Settings;
  readonly settings: Settings;
  readonly points: readonly Point[];
  readonly seed: number;
  readonly out: string;
  readonly stage?: Stage;
  readonly samples?: number | null;
}

async function planRun(
  { study, base, settings, points, seed, out, stage, samples = null }: RunParts,
): Promise<PlannedRun> {
  const axes = Object.fromEntries(points.map(({ axis, value }) => [axis, value]));
  const point = { ...stage?.point, ...axes };
  const stage1 = stage?.run &&
    { hash: stage.run.hash, folder: resolve(stage.run.config.out) };
  const { sampling: common = {}, ...file } = base;
  const { sampling: special = {}, ...flags } = points.map(({ settings }) => settings)
    .reduce(merge, { seed, ...stage1 && { stage1: stage1.folder } });
  const sampling = merge(common as Settings, special as Settings);
  try {
    const config = overlaySources({ file, flags });
    checkOrigins(config, settings);
    // The hash does not depend on the study's folder: the first stage is identified by its own hash.
    const hash = await runHash({ ...config, stage1: stage1?.hash ?? config.stage1 });
    const isGenerator = objectiveKind(config.objective.type).sampling !== undefined;
    if (Object.keys(sampling).length > 0) readSampling(config.objective.type, sampling);
    return {
      ...{ point, seed, config: { ...config, out: runFolderOf(out, hash) }, hash },
      ...isGenerator && { judging: { samples, sampling } },
      ...stage1 && { stage1 },
    };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const reason = cause.message.replace(/^Cannot .*?: /, "");
    throw new RangeError(
      `Cannot plan the study ${study.name}: in the run ${showRun({ point, seed })}, ${reason}`,
      { cause },
    );
  }
}

function scaleOf({ name, scales = {} }: Study, wanted?: ScaleName) {
  const scale = scales[wanted ?? "small"];
  if (scale !== undefined) return scale;
  if (wanted === undefined) return {};
  throw new RangeError(
    `Cannot plan the study ${name}: its scale must be one of ${
      Object.keys(scales).join(", ") || "none"
    }, got ${wanted}`,
  );
}

/** Rejects settings that are set in more than one place. */
function checkPaths(
  { name, stage1 }: Study,
  base: Settings,
  settings: Settings,
  axes: readonly (readonly Point[])[],
): void {
  const refuse = (reason: string): never => {
    throw new RangeError(`Cannot plan the study ${name}: ${reason}`);
  };
  const taken = new Map<string, string>();
  for (const points of axes) {
    const { axis } = points[0];
    for (const path of new Set(points.flatMap((point) => pathsOf(point.settings)))) {
      const other = taken.get(path);
      if (other !== undefined) refuse(`${path} must be on one axis, got ${other} and ${axis}`);
      taken.set(path, axis);
    }
  }
  const twice = pathsOf(settings).find((path) => taken.has(path));
  if (twice !== undefined) refuse(`${twice} must be left to the axis ${taken.get(twice)}`);
  const isGiven = (path: string) => GIVEN.has(path) || path === "stage1" && stage1 !== undefined;
  const given = [...pathsOf(base), ...taken.keys()].find(isGiven);
  if (given !== undefined) refuse(`${given} must not be set, each run is given its own`);
}

function pointsOf(axis: PathAxis | SettingsAxis): readonly Point[] {
  if ("path" in axis) {
    return axis.values.map((value) => ({
      axis: axis.path,
      value,
      settings: axis.path.split(".").reduceRight<unknown>(
        (inner, name) => ({ [name]: inner }),
        value,
      ) as Settings,
    }));
  }
  return Object.entries(axis.values).map(([value, settings]) => ({
    axis: axis.name,
    value,
    settings,
  }));
}

/** The paths that settings set. */
function pathsOf(settings: Settings): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? pathsOf(value as Settings).map((path) => `${name}.${path}`)
      : [name]
  );
}
