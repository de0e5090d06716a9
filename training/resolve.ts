/** Makes one configuration of the places that settings come from. */
import { suggestName } from "../settings/nearest_name.ts";
import { readSettings, showSetting } from "../settings/settings.ts";
import { type DatasetConfig, DEFAULT_DATASET } from "../data/registry.ts";
import type { QuantizerChanges } from "../quantizers/method_settings.ts";
import { DEFAULT_QUANTIZER } from "../quantizers/registry.ts";
import { type Config, configSchema, datasetDefaults, quantizerDefaults } from "./config.ts";
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
 * assert.equal(quantizer.codebookSize, 512);
 * assert.equal(quantizer.distance, "l2");
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
  const start = { data: { name: DEFAULT_DATASET }, quantizer: { type: DEFAULT_QUANTIZER } };
  const merged = [saved, differences, file, flags].map(section).reduce(addLayer, start);
  const dependent = {
    out: `runs/${preset}`,
    optimizer: section(merged.optimizer).type === "adamw" ? { weightDecay: 0.01 } : {},
  };
  refuseForeignSettings(section(merged.quantizer));
  const schema = configSchema(merged);
  return readSettings(schema, merge(dependent, { ...merged, preset }), "read the configuration");
}

function checkSource(source: unknown): void {
  if (source !== undefined && !isSection(source)) {
    throw new RangeError(
      `Cannot read the configuration: it must be an object of settings, got ${showSetting(source)}`,
    );
  }
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

/** Puts a layer over those below, whose settings of the quantiser and of the data set make way if it names others. */
function addLayer(below: Settings, layer: Settings): Settings {
  const { quantizer, data } = below;
  const kept = {
    ...isSection(quantizer) && { quantizer: makeWay(quantizer, section(layer.quantizer)) },
    ...isSection(data) && { data: makeWayForData(data, section(layer.data)) },
  };
  return merge({ ...below, ...kept }, layer);
}

/** What stays of a quantiser's settings below a layer that may name another type for it, or for the one inside it. */
function makeWay(before: Settings, layer: Settings): Settings {
  const { type: old = DEFAULT_QUANTIZER, inner } = before;
  const { type = old } = layer;
  if (typeof type !== "string" || typeof old !== "string") return before;
  if (type !== old) return common(before, quantizerDefaults(old), quantizerDefaults(type));
  if (!isSection(inner)) return before;
  return { ...before, inner: makeWay(inner, section(layer.inner)) };
}

/** What stays of a data set's settings below a layer that may name another. */
function makeWayForData(before: Settings, layer: Settings): Settings {
  const { name: old = DEFAULT_DATASET } = before;
  const { name = old } = layer;
  if (typeof name !== "string" || typeof old !== "string" || name === old) return before;
  return common(before, datasetDefaults(old), datasetDefaults(name));
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

function section(value: unknown): Settings {
  return isSection(value) ? value : {};
}

function isSection(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
