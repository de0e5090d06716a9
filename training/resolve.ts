/** Makes one configuration of the places that settings come from. */
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
    /** The data set by name, and its settings. */
    readonly data?: Partial<DatasetConfig>;
    /** The method by name, and its settings. */
    readonly quantizer?: QuantizerChanges;
  };

/** Where settings come from; each goes over those before it. */
export interface ConfigSources {
  /** The configuration of the run that is resumed; it takes the place of a preset that is not named. */
  readonly saved?: unknown;
  /** What a configuration file holds. */
  readonly file?: unknown;
  /** What the program or its command line says. */
  readonly flags?: PartialConfig;
}

/** The same where nothing is known of what the command line says. */
export interface UncheckedSources extends Omit<ConfigSources, "flags"> {
  /** What the command line says. */
  readonly flags?: unknown;
}

const SOURCES: readonly string[] = ["saved", "file", "flags"] satisfies (keyof ConfigSources)[];

/** The whole configuration: the defaults, below the preset, below the file, below the flags.
 *
 * A quantiser of another type than the layers below have keeps their settings that it has too, except where its own
 * default differs from theirs: `--quantizer.type vanilla` keeps K, but measures nearness its own way. Another data set
 * does likewise.
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
 * @throws {RangeError} a setting is unknown (with the nearest known one), belongs to another type of quantiser, has a
 * value that is not allowed, or is not allowed from where it comes: what would execute code or connect to an address
 * counts from the flags alone
 */
export function resolveConfig(sources: ConfigSources = {}): Config {
  return resolveUnchecked(sources);
}

/** As `resolveConfig`, of flags that the compiler does not know.
 * @throws {TypeError | RangeError} as `resolveConfig`
 */
export function resolveUnchecked(sources: UncheckedSources): Config {
  const config = overlaySources(sources);
  checkOrigins(config, section(sources.flags));
  return config;
}

/** What is chosen where nothing says otherwise. */
const START: Settings = Object.fromEntries(
  Object.entries(CHOICE_SECTIONS).map(([name, { by, choices }]) => [name, { [by]: choices[0] }]),
);

/** As `resolveConfig`, whatever the places say: which of them may say what is for the caller to check.
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

/** A configuration without the quantiser that is the default everywhere, where the objective trains none. */
function withoutQuantizer(merged: Settings, layers: readonly Settings[]): Settings {
  const { quantizer: _, ...rest } = merged;
  const { quantizes } = objectiveKind(objectiveType(merged.objective));
  return quantizes || layers.some(({ quantizer }) => quantizer !== undefined) ? merged : rest;
}

/** Refuses a first stage where the objective stands on none, and none where it stands on one. */
function checkStage1({ objective, stage1 = null }: Settings): void {
  const type = objectiveType(objective);
  const isNeeded = objectiveKind(type).stage1 === "required";
  if (isNeeded === (stage1 !== null)) return;
  throw new RangeError(
    `Cannot read the configuration: stage1 must be ${
      isNeeded ? "the folder of a finished run" : "none"
    } where objective.type is ${type}, got ${showSetting(stage1)}`,
  );
}

/** Refuses to compute a batch in parts that do not divide it, or where the objective cannot. */
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

/** Refuses what is no preset's name. */
function checkPreset(name: unknown): asserts name is string {
  if (typeof name === "string" && PRESETS.has(name)) return;
  const known = [...PRESETS.keys()];
  throw new RangeError(
    `Cannot read the configuration: preset must name one, got ${showSetting(name)}, ${
      suggestName(typeof name === "string" ? name : "", known)
    }`,
  );
}

/** Puts a layer over those below. Where it chooses another data set, objective, model or quantiser, the settings of the
 * one before make way. */
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

/** A layer that chooses another objective, and no model, chooses the objective's first one, if need be. */
function chooseModel(below: Settings, layer: Settings): Settings {
  const { type } = section(layer.objective), model = section(layer.model);
  if (typeof type !== "string" || model.type !== undefined) return layer;
  const { models } = objectiveKind(type);
  const before = section(below.model).type;
  if (typeof before === "string" && models.has(before)) return layer;
  return { ...layer, model: { ...model, type: [...models.keys()][0] } };
}

/** What stays of a section's settings below a layer that may choose another, or another quantiser inside it. */
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

/** The settings that mean the same to another: it has them, with the same default. */
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

/** Settings over others, section by section. */
export function merge(below: Settings, above: Settings): Settings {
  const merged = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above)) {
    const under = merged.get(name);
    merged.set(name, isSection(under) && isSection(value) ? merge(under, value) : value);
  }
  return Object.fromEntries(merged);
}

/** A value as settings; none where it is no object of them. */
export function section(value: unknown): Settings {
  return isSection(value) ? value : {};
}

function isSection(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
