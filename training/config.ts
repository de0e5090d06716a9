/** The configuration: everything that a run is made of, checked, with every default. */
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

/** How long a run is, and what it tells on the way. */
export interface TrainingConfig {
  /** Passes over the training images. */
  readonly epochs: number;
  /** Ends the run after so many steps, if that is sooner. */
  readonly maxSteps: number | null;
  /** Images a step. */
  readonly batchSize: number;
  /** Steps from one report to the next. */
  readonly logEverySteps: number;
  /** Steps from one checkpoint to the next. */
  readonly checkpointEverySteps: number;
  /** The share of the training images that is held out. */
  readonly validation: number;
  /** In how many parts a step computes its batch. */
  readonly accumulate: number;
  /** Decay of the averaged weights; none are kept without it. */
  readonly averageDecay: number | null;
  /** Whether large models compute anew in the backward pass what they would have to keep. */
  readonly recompute: boolean;
  /** Additional metrics at the end of the run of a first stage: names separated by commas. */
  readonly metrics: string | null;
}

/** Everything that a run is made of; plain JSON. */
export interface Config {
  /** The name of the settings that it started from. */
  readonly preset: string;
  /** Of everything random. */
  readonly seed: number;
  /** Where to compute. */
  readonly device: DeviceChoice;
  /** How precisely layers are computed. */
  readonly precision: Precision;
  /** The run's folder. */
  readonly out: string;
  /** The folder of the finished run that this one stands on; none where it stands on none. */
  readonly stage1: string | null;
  /** The images: the data set with its own settings. */
  readonly data: DatasetConfig;
  /** What a step minimises, with its own settings. */
  readonly objective: ObjectiveConfig;
  /** The network with its own settings. */
  readonly model: ModelConfig;
  /** The method of quantisation with its own settings; none where the objective trains no quantiser. */
  readonly quantizer?: QuantizerConfig;
  /** The optimiser. */
  readonly optimizer: OptimizerConfig;
  /** Length and reports. */
  readonly training: TrainingConfig;
  /** The `cpu` device. */
  readonly cpu: {
    /** How many threads; none: as many as the machine has cores. */
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
  seed: z.int().min(0).default(42).describe("of everything random"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("where to compute; auto takes a real GPU, else the cpu"),
  precision: z.enum([...PRECISIONS]).default("float32")
    .describe("of layers; mixed rounds what they multiply to float16 (on webgpu)"),
  out: z.string().min(1).default(`runs/${DEFAULT_PRESET}`)
    .describe("the run's folder; with another preset, runs/<preset>"),
  stage1: z.string().min(1).nullable().default(null)
    .describe("the folder of a finished run, whose codes or latents are learnt"),
  optimizer: OPTIMIZER_SETTINGS,
  training: z.strictObject({
    epochs: positive().default(500).describe("passes over the training images"),
    maxSteps: positive().nullable().default(null)
      .describe("ends the run after so many steps, if that is sooner"),
    batchSize: positive().default(1024).describe("images a step"),
    logEverySteps: positive().default(10).describe("steps from one report to the next"),
    checkpointEverySteps: positive().default(100)
      .describe("steps from one checkpoint to the next; every epoch ends with one besides"),
    validation: z.number().min(0).lt(1).default(0).describe(
      "the share of the training images that is held out: the best epoch is chosen on it, and the test images are measured once",
    ),
    accumulate: positive().default(1)
      .describe("in how many parts a step computes its batch, for less memory"),
    averageDecay: z.number().min(0).lt(1).nullable().default(null)
      .describe(
        "decay of averaged weights, which are what is measured and drawn; none: as trained",
      ),
    recompute: z.boolean().default(false).describe(
      "computes anew in the backward pass what large models would have to keep: less memory, a third more time, the same bits",
    ),
    metrics: z.string().min(1).nullable().default(null).describe(
      "additional metrics at the end of the run, separated by commas, with the names of evaluate; only for first stages",
    ),
  }).prefault({}),
  cpu: z.strictObject({
    threads: positive().nullable().default(null)
      .describe("threads of the cpu device; none: as many as the machine has cores"),
    blas: z.string().min(1).default("auto").describe(
      "whose products the cpu device takes: auto the system's BLAS where there is one, off its own, a path that library",
    ),
    dnn: z.string().min(1).default("auto").describe(
      "whose convolutions the cpu device takes: auto the system's oneDNN where there is one, off those of cpu.blas, a path that library",
    ),
  }).prefault({}),
};

/** The schema of the configurations that have a certain quantiser, data set, objective and model.
 * @param chosen the configurations of each; only the types and the name in them count
 * @throws {RangeError} there is nothing of such a name
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

/** A section whose settings depend on what is chosen in it. */
export interface ChoiceSection {
  /** The setting that chooses. */
  readonly by: "type" | "name";
  /** What there is to choose from, the default first. */
  readonly choices: readonly string[];
  /** The defaults of a choice's settings, by name. */
  readonly defaults: (choice: string) => ReadonlyMap<string, unknown>;
}

const defaultFirst = (first: string, all: readonly string[]) => [
  first,
  ...all.filter((name) => name !== first),
];

/** The sections of that sort. */
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

/** The models of the first objective that has one of such a type. */
function modelsWith(type: string): ModelTable<Module, never> {
  const tables = OBJECTIVE_TYPES.map((name) => objectiveKind(name).models);
  return tables.find((table) => table.has(type)) ?? tables[0];
}

/** The settings of all configurations, whatever is chosen in the sections of `CHOICE_SECTIONS`, and of one quantiser
 * inside another; where those differ, the description says it. */
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

/** The objective that a choice needs: of a model, one that trains it. */
function carrying(section: string, choice: string): { readonly objective?: unknown } {
  if (section !== "model") return {};
  const type = OBJECTIVE_TYPES.find((name) => objectiveKind(name).models.has(choice));
  return { objective: { type } };
}

/** How the choices differ in a setting of theirs, in words: who has it, and who has another default. */
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

/** The defaults of a quantiser's settings, by name; without those of the quantisers inside it.
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
