/** The configuration: everything that a run is made of, checked, with every default. */
import { z } from "zod";
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
import { DEFAULT_PRESET, PRESETS } from "./presets.ts";

/** Settings of the small VQ-VAE (arXiv 1711.00937). */
export interface ModelConfig {
  /** Channels of the hidden layers. */
  readonly hidden: number;
  /** Channels inside the residual blocks. */
  readonly residualHidden: number;
  /** Residual blocks on each side. */
  readonly residualLayers: number;
}

/** Settings of the optimiser and its learning rate. */
export interface OptimizerConfig {
  /** The method. */
  readonly type: "adam" | "adamw";
  /** The rate that the schedule multiplies. */
  readonly learningRate: number;
  /** Decay of the first moment. */
  readonly beta1: number;
  /** Decay of the second moment. */
  readonly beta2: number;
  /** Added to the denominator. */
  readonly epsilon: number;
  /** Added to the gradient by adam, applied to the weights by adamw. */
  readonly weightDecay: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm: number | null;
  /** How the learning rate changes over the run. */
  readonly schedule: "constant" | "cosine" | "linear";
  /** Steps over which the learning rate rises at the start. */
  readonly warmupSteps: number;
  /** The share of the learning rate that a schedule ends with. */
  readonly floor: number;
}

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
  /** The images: the data set with its own settings. */
  readonly data: DatasetConfig;
  /** The network. */
  readonly model: ModelConfig;
  /** The method of quantisation with its own settings. */
  readonly quantizer: QuantizerConfig;
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
  model: z.strictObject({
    hidden: positive().min(2).multipleOf(2).default(128).describe("channels of the hidden layers"),
    residualHidden: positive().default(32).describe("channels inside the residual blocks"),
    residualLayers: z.int().min(0).default(2).describe("residual blocks on each side"),
  }).prefault({}),
  optimizer: z.strictObject({
    type: z.enum(["adam", "adamw"]).default("adam").describe("the method"),
    learningRate: z.number().positive().default(3e-4).describe(
      "the rate that the schedule multiplies",
    ),
    beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
    beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the second moment"),
    epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
    weightDecay: z.number().min(0).default(0)
      .describe("added to the gradient by adam, applied to the weights by adamw (there 0.01)"),
    clipNorm: z.number().positive().nullable().default(null)
      .describe("largest norm of all gradients together"),
    schedule: z.enum(["constant", "cosine", "linear"]).default("constant")
      .describe("how the learning rate changes over the run"),
    warmupSteps: z.int().min(0).default(0)
      .describe("steps over which the learning rate rises at the start"),
    floor: z.number().min(0).max(1).default(0)
      .describe("the share of the learning rate that a schedule ends with"),
  }).prefault({}),
  training: z.strictObject({
    epochs: positive().default(500).describe("passes over the training images"),
    maxSteps: positive().nullable().default(null)
      .describe("ends the run after so many steps, if that is sooner"),
    batchSize: positive().default(1024).describe("images a step"),
    logEverySteps: positive().default(10).describe("steps from one report to the next"),
    checkpointEverySteps: positive().default(100)
      .describe("steps from one checkpoint to the next; every epoch ends with one besides"),
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

/** The schema of the configurations that have a certain quantiser and data set.
 * @param chosen the configurations of both; only the types and the name in them count
 * @throws {RangeError} there is no such quantiser, or no such data set
 */
export function configSchema(
  chosen: { readonly quantizer?: unknown; readonly data?: unknown },
): z.ZodType<Config> {
  const { preset, seed, device, precision, out, model, ...rest } = sections;
  const data = datasetSchema(chosen.data);
  const quantizer = quantizerSchema(chosen.quantizer);
  return z.strictObject({ preset, seed, device, precision, out, data, model, quantizer, ...rest });
}

/** The settings of all configurations, whatever the quantiser and the data set, and of one quantiser inside another;
 * where those differ, the description says it. */
export function configSettings(): readonly Setting[] {
  const types = [
    DEFAULT_QUANTIZER,
    ...QUANTIZER_TYPES.filter((type) => type !== DEFAULT_QUANTIZER),
  ];
  const names = [DEFAULT_DATASET, ...DATASET_NAMES.filter((name) => name !== DEFAULT_DATASET)];
  const defaults = {
    quantizer: new Map(types.map((type) => [type, quantizerDefaults(type)])),
    data: new Map(names.map((name) => [name, datasetDefaults(name)])),
  };
  const settings = new Map<string, Setting>();
  const schemas = [
    ...types.map((type) => configSchema({ quantizer: { type } })),
    ...names.map((name) => configSchema({ data: { name } })),
  ];
  for (const setting of schemas.flatMap(settingsOf)) {
    const { path, description } = setting;
    if (settings.has(path) || path.startsWith("quantizer.inner.")) continue;
    const [section, name] = path.split(".");
    const isChoice = path === "quantizer.type" || path === "data.name";
    const notes = !isChoice && (section === "quantizer" || section === "data")
      ? differences(name, defaults[section])
      : [];
    settings.set(path, { ...setting, description: [description, ...notes].join("; ") });
  }
  const composites = types.filter(isComposite).join(" or ");
  const inner = [...settings.values()].flatMap((setting) => {
    const [section, name] = setting.path.split(".");
    if (section !== "quantizer" || !isInnerSetting(name)) return [];
    const description = `of the quantizers inside ${composites}: as quantizer.${name}`;
    return [{ ...setting, path: `quantizer.inner.${name}`, description }];
  });
  return [...settings.values(), ...inner];
}

/** How quantisers, or data sets, differ in a setting of theirs, in words: who has it, and who has another default. */
function differences(
  name: string,
  defaults: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
): string[] {
  const all = [...defaults];
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
