/** The configuration: all settings of a run, validated, with all defaults. */
import * as z from "zod";
import { DEVICE_CHOICES, type DeviceChoice } from "../core/device.ts";
import { type Precision, PRECISIONS } from "../core/precision.ts";
import { type Setting, settingsOf, showSetting } from "../settings/settings.ts";
import {
  DATASET_NAMES,
  type DatasetConfig,
  datasetKind,
  datasetSchema,
  DEFAULT_DATASET,
} from "../data/registry.ts";
import {
  DEFAULT_QUANTIZER,
  isComposite,
  isInnerSetting,
  QUANTIZER_TYPES,
  type QuantizerConfig,
  quantizerMethod,
  quantizerSchema,
} from "../quantizers/registry.ts";
import type { Module } from "../nn/module.ts";
import type { ModelConfig, ModelTable } from "../models/kind.ts";
import { modelKind, modelSchema } from "../models/registry.ts";
import type { ObjectiveConfig } from "../objectives/kind.ts";
import { OPTIMIZER_SETTINGS, type OptimizerConfig } from "../objectives/optimizer_settings.ts";
import {
  OBJECTIVE_TYPES,
  objectiveKind,
  objectiveSchema,
  objectiveType,
} from "../objectives/registry.ts";
import { DEFAULT_PRESET, PRESETS } from "./presets.ts";

/** The length of a run, and what it reports. */
export interface TrainingConfig {
  /** Passes over the training images. */
  readonly epochs: number;
  /** Ends the run after this many steps, if that is earlier. */
  readonly maxSteps: number | null;
  /** Images per step. */
  readonly batchSize: number;
  /** Steps between two reports. */
  readonly logEverySteps: number;
  /** Steps between two checkpoints. */
  readonly checkpointEverySteps: number;
  /** The fraction of the training images that is held out. */
  readonly validation: number;
  /** The number of parts in which a step computes its batch. */
  readonly accumulate: number;
  /** Decay of the averaged weights; if null, there are none. */
  readonly averageDecay: number | null;
  /** Whether large models recompute activations in the backward pass instead of storing them. */
  readonly recompute: boolean;
  /** Additional metrics at the end of a first stage's run: names separated by commas. */
  readonly metrics: string | null;
}

/** All settings of a run; plain JSON. */
export interface Config {
  /** The preset that the settings start from. */
  readonly preset: string;
  /** Seed of all random numbers. */
  readonly seed: number;
  /** The device to compute on. */
  readonly device: DeviceChoice;
  /** The precision of the layers. */
  readonly precision: Precision;
  /** The run's folder. */
  readonly out: string;
  /** The folder of the finished run that is the first stage of this one; null if it has none. */
  readonly stage1: string | null;
  /** The data set and its settings. */
  readonly data: DatasetConfig;
  /** The objective, which each step minimises, and its settings. */
  readonly objective: ObjectiveConfig;
  /** The network and its settings. */
  readonly model: ModelConfig;
  /** The quantiser and its settings; undefined if the objective trains no quantiser. */
  readonly quantizer?: QuantizerConfig;
  /** The optimiser. */
  readonly optimizer: OptimizerConfig;
  /** The length of the run, and its reports. */
  readonly training: TrainingConfig;
  /** Settings of the device `cpu`. */
  readonly cpu: {
    /** Number of threads; null: one per core. */
    readonly threads: number | null;
    /** The system's BLAS: auto, off, or the path of a library. */
    readonly blas: string;
    /** The system's oneDNN: auto, off, or the path of a library. */
    readonly dnn: string;
  };
}

const positive = () => z.int().min(1);

const sections = {
  preset: z.enum([...PRESETS.keys()]).default(DEFAULT_PRESET)
    .describe("named settings to start from"),
  seed: z.int().min(0).default(42).describe("seed of all random numbers"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("the device to compute on; auto: a hardware GPU if there is one, otherwise the cpu"),
  precision: z.enum([...PRECISIONS]).default("float32")
    .describe(
      "precision of the layers; mixed rounds the operands of their products to float16 (on webgpu)",
    ),
  out: z.string().min(1).default(`runs/${DEFAULT_PRESET}`)
    .describe("the run's folder; for another preset, the default is runs/<preset>"),
  stage1: z.string().min(1).nullable().default(null)
    .describe(
      "the folder of a finished run: the first stage, whose codes or latents the model learns",
    ),
  optimizer: OPTIMIZER_SETTINGS,
  training: z.strictObject({
    epochs: positive().default(500).describe("passes over the training images"),
    maxSteps: positive().nullable().default(null)
      .describe("ends the run after this many steps, if that is earlier"),
    batchSize: positive().default(1024).describe("images per step"),
    logEverySteps: positive().default(10).describe("steps between two reports"),
    checkpointEverySteps: positive().default(100)
      .describe("steps between two checkpoints; there is also one at the end of every epoch"),
    validation: z.number().min(0).lt(1).default(0).describe(
      "the fraction of the training images that is held out to choose the best epoch; the test images are then measured only once",
    ),
    accumulate: positive().default(1)
      .describe(
        "the number of parts in which a step computes its batch; more parts need less memory",
      ),
    averageDecay: z.number().min(0).lt(1).nullable().default(null)
      .describe(
        "decay of the averaged weights, which are used for evaluation and samples; none: uses the trained weights",
      ),
    recompute: z.boolean().default(false).describe(
      "recomputes the activations of large models in the backward pass: less memory, a third more time, the same bits",
    ),
    metrics: z.string().min(1).nullable().default(null).describe(
      "additional metrics at the end of the run, separated by commas, named as in evaluate; only for first stages",
    ),
  }).prefault({}),
  cpu: z.strictObject({
    threads: positive().nullable().default(null)
      .describe("threads of the cpu device; none: one per core"),
    blas: z.string().min(1).default("auto").describe(
      "library for the matrix products of the cpu device; auto: the system's BLAS if there is one; off: the built-in kernels; or the path of a library",
    ),
    dnn: z.string().min(1).default("auto").describe(
      "library for the convolutions of the cpu device; auto: the system's oneDNN if there is one; off: the products of cpu.blas; or the path of a library",
    ),
  }).prefault({}),
};

/** The schema of configurations with a given quantiser, data set, objective and model.
 * @param chosen the configuration of each; only its type or name is used
 * @throws {RangeError} a type or name is unknown
 */
export function configSchema(
  chosen: {
    readonly quantizer?: unknown;
    readonly data?: unknown;
    readonly objective?: unknown;
    readonly model?: unknown;
  },
): z.ZodType<Config> {
  const { preset, seed, device, precision, out, stage1, ...rest } = sections;
  const { models, quantizes } = objectiveKind(objectiveType(chosen.objective));
  const schema: z.ZodObject = z.strictObject({
    ...{ preset, seed, device, precision, out, stage1 },
    data: datasetSchema(chosen.data),
    objective: objectiveSchema(chosen.objective),
    model: modelSchema(models, chosen.model),
    ...(quantizes ? { quantizer: quantizerSchema(chosen.quantizer) } : {}),
    ...rest,
  });
  return schema as unknown as z.ZodType<Config>;
}

/** A section whose settings depend on a choice within it. */
export interface ChoiceSection {
  /** The setting that makes the choice. */
  readonly by: "type" | "name";
  /** The choices, the default first. */
  readonly choices: readonly string[];
  /** The defaults of a choice's settings, by name. */
  readonly defaults: (choice: string) => ReadonlyMap<string, unknown>;
}

const defaultFirst = (first: string, all: readonly string[]) => [
  first,
  ...all.filter((name) => name !== first),
];

/** The sections with such a choice. */
export const CHOICE_SECTIONS: Readonly<Record<string, ChoiceSection>> = {
  data: {
    by: "name",
    choices: defaultFirst(DEFAULT_DATASET, DATASET_NAMES),
    defaults: datasetDefaults,
  },
  objective: {
    by: "type",
    choices: OBJECTIVE_TYPES,
    defaults: (type) => defaultsOf(objectiveKind(type).schema),
  },
  model: {
    by: "type",
    choices: [
      ...new Set(OBJECTIVE_TYPES.flatMap((type) => [...objectiveKind(type).models.keys()])),
    ],
    defaults: (type) => defaultsOf(modelKind(modelsWith(type), type).schema),
  },
  quantizer: {
    by: "type",
    choices: defaultFirst(DEFAULT_QUANTIZER, QUANTIZER_TYPES),
    defaults: quantizerDefaults,
  },
};

/** The models of the first objective that has a model of this type. */
function modelsWith(type: string): ModelTable<Module, never> {
  const tables = OBJECTIVE_TYPES.map((name) => objectiveKind(name).models);
  return tables.find((table) => table.has(type)) ?? tables[0];
}

/** The settings of all configurations: those of every choice in the sections of `CHOICE_SECTIONS`, and those of a
 * quantiser inside another. If the choices differ in a setting, its description says so. */
export function configSettings(): readonly Setting[] {
  const settings = new Map<string, Setting>();
  const schemas = Object.entries(CHOICE_SECTIONS).flatMap(([section, { by, choices }]) =>
    choices.map((choice) =>
      configSchema({ ...carrying(section, choice), [section]: { [by]: choice } })
    )
  );
  for (const setting of schemas.flatMap(settingsOf)) {
    const { path, description } = setting;
    if (settings.has(path) || path.startsWith("quantizer.inner.")) continue;
    const [section, name] = path.split(".");
    const choice = CHOICE_SECTIONS[section];
    const notes = choice === undefined || name === choice.by ? [] : differences(name, choice);
    settings.set(path, { ...setting, description: [description, ...notes].join("; ") });
  }
  const composites = QUANTIZER_TYPES.filter(isComposite).join(" or ");
  const inner = [...settings.values()].flatMap((setting) => {
    const [section, name] = setting.path.split(".");
    if (section !== "quantizer" || !isInnerSetting(name)) return [];
    const description = `of the quantizers inside ${composites}: as quantizer.${name}`;
    return [{ ...setting, path: `quantizer.inner.${name}`, description }];
  });
  return [...settings.values(), ...inner];
}

/** The objective that a choice needs: for a model, an objective that trains it. */
function carrying(section: string, choice: string): { readonly objective?: unknown } {
  if (section !== "model") return {};
  const type = OBJECTIVE_TYPES.find((name) => objectiveKind(name).models.has(choice));
  return { objective: { type } };
}

/** Describes in words how the choices differ in a setting: which have it, and which have another default. */
function differences(name: string, { choices, defaults }: ChoiceSection): string[] {
  const all = choices.map((choice) => [choice, defaults(choice)] as const);
  const owners = all.filter(([, own]) => own.has(name));
  const others = all.filter(([, own]) => !own.has(name));
  const names = (group: typeof all) => group.map(([type]) => type).join(", ");
  const owned = owners.length <= others.length
    ? [`only with ${names(owners)}`]
    : others.length > 0
    ? [`not with ${names(others)}`]
    : [];
  const [, ...unusual] = Map.groupBy(owners, ([, own]) => showSetting(own.get(name)));
  return [...owned, ...unusual.map(([value, group]) => `${value} with ${names(group)}`)];
}

/** The defaults of a quantiser's settings, by name, without those of the quantisers inside it.
 * @throws {RangeError} there is no such quantiser
 */
export function quantizerDefaults(type: string): ReadonlyMap<string, unknown> {
  return defaultsOf(quantizerMethod(type).schema);
}

/** The defaults of a data set's settings, by name.
 * @throws {RangeError} there is no such data set
 */
export function datasetDefaults(name: string): ReadonlyMap<string, unknown> {
  return defaultsOf(datasetKind(name).schema);
}

function defaultsOf(schema: z.ZodType): ReadonlyMap<string, unknown> {
  return new Map(settingsOf(schema).map((setting) => [setting.path, setting.default]));
}
