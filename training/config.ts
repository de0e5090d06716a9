/** The configuration: everything that a run is made of, checked, with every default. */
import { z } from "zod";
import { DEVICE_CHOICES, type DeviceChoice } from "../core/device.ts";
import { type Setting, settingsOf, showSetting } from "../core/settings.ts";
import { DATASET_NAMES } from "../data/registry.ts";
import {
  DEFAULT_QUANTIZER,
  isComposite,
  QUANTIZER_TYPES,
  type QuantizerConfig,
  quantizerSchema,
  quantizerSettings,
} from "../quantizers/registry.ts";
import { DEFAULT_PRESET, PRESETS } from "./presets.ts";

/** Settings of the small VQ-VAE (METHOD 4). */
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
  /** The run's folder. */
  readonly out: string;
  /** The images. */
  readonly data: {
    /** Which data set. */
    readonly name: string;
  };
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
  };
}

const positive = () => z.int().min(1);

const sections = {
  preset: z.enum([...PRESETS.keys()]).default(DEFAULT_PRESET)
    .describe("named settings to start from"),
  seed: z.int().min(0).default(42).describe("of everything random"),
  device: z.enum(DEVICE_CHOICES).default("auto")
    .describe("where to compute; auto takes a real GPU, else the cpu"),
  out: z.string().min(1).default(`runs/${DEFAULT_PRESET}`)
    .describe("the run's folder; with another preset, runs/<preset>"),
  data: z.strictObject({
    name: z.enum([...DATASET_NAMES]).default("digits").describe("the data set"),
  }).prefault({}),
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
  }).prefault({}),
};

/** The schema of the configurations that have a certain quantiser.
 * @param config the quantiser's configuration; only the types in it count
 * @throws {RangeError} there is no such quantiser
 */
export function configSchema(config: unknown): z.ZodType<Config> {
  const { preset, seed, device, out, data, model, ...rest } = sections;
  const quantizer = quantizerSchema(config);
  return z.strictObject({ preset, seed, device, out, data, model, quantizer, ...rest });
}

/** The settings of all configurations, whatever the quantiser, and of one quantiser inside another; where quantisers
 * differ, the description says it. */
export function configSettings(): readonly Setting[] {
  const settings = new Map<string, Setting>();
  const composites = QUANTIZER_TYPES.filter(isComposite);
  const simple = [DEFAULT_QUANTIZER, ...QUANTIZER_TYPES.filter((type) => !isComposite(type))];
  const nested = simple.map((type) => ({ type: composites[0], inner: { type } }));
  for (const config of [...[...simple, ...composites].map((type) => ({ type })), ...nested]) {
    for (const setting of settingsOf(configSchema(config))) {
      if (!settings.has(setting.path)) settings.set(setting.path, setting);
    }
  }
  return [...settings.values()].map((setting) => {
    const [section, name, inside] = setting.path.split(".");
    if (section !== "quantizer" || name === "type") return setting;
    if (inside === undefined) {
      return { ...setting, description: [setting.description, ...differences(name)].join("; ") };
    }
    const description = `of the quantizers inside ${
      composites.join(" or ")
    }: as quantizer.${inside}`;
    return { ...setting, description };
  });
}

/** How the quantisers differ in a setting of theirs, in words: who has it, and who has another default. */
function differences(name: string): string[] {
  const all = [DEFAULT_QUANTIZER, ...QUANTIZER_TYPES.filter((type) => type !== DEFAULT_QUANTIZER)];
  const [owners, others] = [true, false].map((wanted) =>
    all.filter((type) => quantizerDefaults(type).has(name) === wanted)
  );
  const owned = owners.length <= others.length
    ? [`only with ${owners.join(", ")}`]
    : others.length > 0
    ? [`not with ${others.join(", ")}`]
    : [];
  const defaults = Map.groupBy(owners, (type) => showSetting(quantizerDefaults(type).get(name)));
  const [, ...unusual] = defaults;
  return [...owned, ...unusual.map(([value, types]) => `${value} with ${types.join(", ")}`)];
}

/** The defaults of a quantiser's settings, by name; without those of the quantisers inside it.
 * @throws {RangeError} there is no such quantiser
 */
export function quantizerDefaults(type: string): ReadonlyMap<string, unknown> {
  const settings = settingsOf(quantizerSettings(type));
  return new Map(settings.map((setting) => [setting.path, setting.default]));
}
