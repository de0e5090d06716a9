/** Combines settings from several sources into one configuration. */
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings, showSetting } from "../settings/settings.ts";
import type { DatasetConfig } from "../data/registry.ts";
import type { QuantizerChanges } from "../quantizers/method_settings.ts";
import { DEFAULT_QUANTIZER } from "../quantizers/registry.ts";
import { objectiveKind, objectiveType } from "../objectives/registry.ts";
import { CHOICE_SECTIONS, type ChoiceSection, type Config, configSchema } from "./config.ts";
import { refuseForeignSettings } from "./foreign_settings.ts";
import { checkOrigins } from "./origins.ts";
import { DEFAULT_PRESET, PRESETS, type Settings } from "./presets.ts";

/** Some settings of a configuration. */
export type PartialConfig =
  & {
    readonly [Name in Exclude<keyof Config, "data" | "quantizer">]?: Config[Name] extends object
      ? Partial<Config[Name]>
      : Config[Name];
  }
  & {
    /** The data set's name and settings. */
    readonly data?: Partial<DatasetConfig>;
    /** The quantiser's type and settings. */
    readonly quantizer?: QuantizerChanges;
  };

/** The sources of settings. Each source overrides those before it. */
export interface ConfigSources {
  /** The configuration of the run to resume. It replaces the preset if none is named. */
  readonly saved?: unknown;
  /** The contents of a configuration file. */
  readonly file?: unknown;
  /** The settings given by the program or on its command line. */
  readonly flags?: PartialConfig;
}

/** The same with settings from the command line that have not been validated. */
export interface UncheckedSources extends Omit<ConfigSources, "flags"> {
  /** The settings given on the command line. */
  readonly flags?: unknown;
}

const SOURCES: readonly string[] = ["saved", "file", "flags"] satisfies (keyof ConfigSources)[];

/** Resolves the whole configuration. The preset overrides the defaults, the file overrides the preset, and the flags
 * override the file.
 *
 * If a source chooses another quantiser, the settings that both quantisers have are kept, except those whose defaults
 * differ: `--quantizer.type vanilla` keeps K, but uses its own distance. The same holds for another data set.
 *
 * ```ts
 * import { resolveConfig } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const { quantizer, out } = resolveConfig({ flags: { quantizer: { type: "vanilla" } } });
 * assert.equal(quantizer?.codebookSize, 512);
 * assert.equal(quantizer?.distance, "l2");
 * assert.equal(out, "runs/digits");
 * ```
 * @throws {TypeError} the sources are not `saved`, `file` and `flags`
 * @throws {RangeError} a setting is unknown (the message suggests the nearest known one), belongs to another type of
 * quantiser, has a value that is not allowed, or is not allowed in its source: settings that execute code or connect to
 * an address are allowed only in the flags
 */
export function resolveConfig(sources: ConfigSources = {}): Config {
  return resolveUnchecked(sources);
}

/** As `resolveConfig`, for flags whose types are not checked at compile time.
 * @throws {TypeError | RangeError} as `resolveConfig`
 */
export function resolveUnchecked(sources: UncheckedSources): Config {
  const config = overlaySources(sources);
  checkOrigins(config, section(sources.flags));
  return config;
}

/** The default choices. */
const START: Settings = Object.fromEntries(
  Object.entries(CHOICE_SECTIONS).map(([name, { by, choices }]) => [name, { [by]: choices[0] }]),
);

/** As `resolveConfig`, without checking which source a setting may come from; the caller checks that.
 * @throws {RangeError} a setting is unknown or has a value that is not allowed
 */
export function overlaySources(sources: UncheckedSources): Config {
  const unknown = Object.keys(sources).find((name) => !SOURCES.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(
      `Cannot read the configuration: its sources must be ${
        SOURCES.join(", ")
      }, got ${unknown}; the settings of a program are flags: { flags: { … } }`,
    );
  }
  const { saved, file, flags } = sources;
  for (const source of [saved, file, flags]) checkSource(source);
  const named = section(flags).preset ?? section(file).preset;
  const preset = named ?? section(saved).preset ?? DEFAULT_PRESET;
  checkPreset(preset);
  const isNamed = saved === undefined || named !== undefined;
  const differences = isNamed ? PRESETS.get(preset) : {};
  const layers = [saved, differences, file, flags].map(section);
  const merged = withoutQuantizer(layers.reduce(addLayer, START), layers);
  const dependent = {
    out: `runs/${preset}`,
    optimizer: section(merged.optimizer).type === "adamw" ? { weightDecay: 0.01 } : {},
  };
  checkStage1(merged);
  for (const name of Object.keys(CHOICE_SECTIONS)) {
    refuseForeignSettings(section(merged[name]), name);
  }
  const schema = configSchema(merged);
  const config = readSettings(
    schema,
    merge(dependent, { ...merged, preset }),
    "read the configuration",
  );
  checkAccumulation(config);
  checkMetrics(config);
  return config;
}

function checkSource(source: unknown): void {
  if (source !== undefined && !isSection(source)) {
    throw new RangeError(
      `Cannot read the configuration: it must be an object of settings, got ${showSetting(source)}`,
    );
  }
}

/** Removes the default quantiser from a configuration whose objective trains no quantiser. */
function withoutQuantizer(merged: Settings, layers: readonly Settings[]): Settings {
  const { quantizer: _, ...rest } = merged;
  const { quantizes } = objectiveKind(objectiveType(merged.objective));
  return quantizes || layers.some(({ quantizer }) => quantizer !== undefined) ? merged : rest;
}

/** Rejects a first stage if the objective uses none, and a missing one if it needs one. */
function checkStage1({ objective, stage1 = null }: Settings): void {
  const type = objectiveType(objective);
  const isNeeded = objectiveKind(type).stage1 !== "none";
  if (isNeeded === (stage1 !== null)) return;
  throw new RangeError(
    `Cannot read the configuration: stage1 must be ${
      isNeeded ? "the folder of a finished run" : "none"
    } where objective.type is ${type}, got ${showSetting(stage1)}`,
  );
}

/** Rejects accumulation if the parts do not divide the batch, or if the objective does not support it. */
function checkAccumulation({ objective, training: { accumulate, batchSize } }: Config): void {
  if (accumulate === 1) return;
  if (!objectiveKind(objective.type).accumulates) {
    throw new RangeError(
      `Cannot read the configuration: training.accumulate must be 1 where objective.type is ${objective.type}, got ${accumulate}`,
    );
  }
  if (batchSize % accumulate === 0) return;
  throw new RangeError(
    `Cannot read the configuration: training.accumulate must divide the batch size ${batchSize}, got ${accumulate}`,
  );
}

/** Rejects metrics of reconstructions if the objective makes no reconstructions. */
function checkMetrics({ objective: { type }, training: { metrics } }: Config): void {
  if (metrics === null || objectiveKind(type).quantizes) return;
  throw new RangeError(
    `Cannot read the configuration: training.metrics must be none where objective.type is ${type}, got ${metrics}`,
  );
}

/** Rejects an unknown preset name. */
function checkPreset(name: unknown): asserts name is string {
  if (typeof name === "string" && PRESETS.has(name)) return;
  const known = [...PRESETS.keys()];
  throw new RangeError(
    `Cannot read the configuration: preset must name a preset, got ${showSetting(name)}, ${
      suggestName(typeof name === "string" ? name : "", known)
    }`,
  );
}

/** Adds a layer of settings over those below. If it chooses another data set, objective, model or quantiser, the
 * settings of the previous choice are removed. */
function addLayer(below: Settings, layer: Settings): Settings {
  const above = chooseModel(below, layer);
  const kept = Object.entries(CHOICE_SECTIONS).flatMap(([name, choice]) => {
    const before = below[name];
    return isSection(before)
      ? [[name, makeWay(before, section(above[name]), choice)] as const]
      : [];
  });
  return merge({ ...below, ...Object.fromEntries(kept) }, above);
}

/** If a layer chooses another objective but no model, and the present model does not fit, chooses the objective's first
 * model. */
function chooseModel(below: Settings, layer: Settings): Settings {
  const { type } = section(layer.objective), model = section(layer.model);
  if (typeof type !== "string" || model.type !== undefined) return layer;
  const { models } = objectiveKind(type);
  const before = section(below.model).type;
  if (typeof before === "string" && models.has(before)) return layer;
  return { ...layer, model: { ...model, type: [...models.keys()][0] } };
}

/** The settings of a section that remain below a layer that may make another choice, or choose another inner
 * quantiser. */
function makeWay(before: Settings, layer: Settings, choice: ChoiceSection): Settings {
  const { by, defaults } = choice;
  const old = before[by], now = layer[by] ?? old;
  if (typeof old !== "string" || typeof now !== "string") return before;
  if (now !== old) return common(before, defaults(old), defaults(now));
  const { inner } = before;
  if (!isSection(inner)) return before;
  const inside = { type: DEFAULT_QUANTIZER, ...inner };
  return { ...before, inner: makeWay(inside, section(layer.inner), choice) };
}

/** The settings that have the same meaning for another choice: it has them, with the same default. */
function common(
  settings: Settings,
  usual: ReadonlyMap<string, unknown>,
  own: ReadonlyMap<string, unknown>,
): Settings {
  const kept = Object.entries(settings).filter(([name]) =>
    own.has(name) && usual.get(name) === own.get(name)
  );
  return Object.fromEntries(kept);
}

/** Merges settings over others, section by section. */
export function merge(below: Settings, above: Settings): Settings {
  const merged = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above)) {
    const under = merged.get(name);
    merged.set(name, isSection(under) && isSection(value) ? merge(under, value) : value);
  }
  return Object.fromEntries(merged);
}

/** A value as settings; empty if it is not an object. */
export function section(value: unknown): Settings {
  return isSection(value) ? value : {};
}

function isSection(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
