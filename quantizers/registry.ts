/** The methods that can be chosen by name in the configuration, on the command line and in ablations. */
import * as z from "zod";
import { suggestName } from "../settings/nearest_name.ts";
import type { RandomKey } from "../core/random.ts";
import { checkHas } from "../settings/check_has.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device } from "../core/tensor.ts";
import { clusteredMethod } from "./clustered.ts";
import { clusteredEmaMethod } from "./clustered_ema.ts";
import { emaMethod } from "./ema.ts";
import { fsqMethod } from "./fsq.ts";
import { gumbelMethod } from "./gumbel.ts";
import { hardFeaturesMethod } from "./hard_features.ts";
import { lfqMethod } from "./lfq.ts";
import type { CodeLayout, CompositeMethod, QuantizerMethod } from "./method.ts";
import type { MethodSettings, QuantizerSettings } from "./method_settings.ts";
import { multiScaleMethod } from "./multi_scale.ts";
import { nearCodesMethod } from "./near_codes.ts";
import { normalizable, normalizableAsWhole } from "./normalized.ts";
import { perturbable } from "./perturbed.ts";
import { productMethod } from "./product.ts";
import { projectable } from "./projected.ts";
import type { Quantizer } from "./quantizer.ts";
import { residualMethod } from "./residual.ts";
import { simvqMethod } from "./simvq.ts";
import { sqMethod } from "./sq.ts";
import { vanillaMethod } from "./vanilla.ts";
import { vqwaeMethod } from "./vq_wae.ts";
import { warmable } from "./code_warmup.ts";

/** Adds the settings of the warm-up and of the normalisation. */
const withWarmupAndNorm = <Settings extends object>(method: QuantizerMethod<Settings>) =>
  normalizable(warmable(method));
/** The same for methods that keep a codebook, whose codes can be perturbed and whose D can be set. */
const withProjection = <Settings extends object>(method: QuantizerMethod<Settings>) =>
  projectable(withWarmupAndNorm(perturbable(method)));

/** Every method by name, with the schema of its settings. To add one, write a file in this folder, and add a line here
 * and one to `MethodSettings`. */
const TABLE: {
  readonly [Type in keyof MethodSettings]:
    | QuantizerMethod<MethodSettings[Type]>
    | CompositeMethod<MethodSettings[Type]>;
} = {
  "vanilla": withProjection(vanillaMethod),
  "clustered": withProjection(clusteredMethod),
  "ema": withProjection(emaMethod),
  "clustered-ema": projectable(normalizable(warmable(perturbable(clusteredEmaMethod)), "batch")),
  "near-codes": withProjection(nearCodesMethod),
  "hard-features": withProjection(hardFeaturesMethod),
  "fsq": withWarmupAndNorm(fsqMethod),
  "lfq": withWarmupAndNorm(lfqMethod),
  "simvq": withProjection(simvqMethod),
  "gumbel": withWarmupAndNorm(gumbelMethod),
  "sq": withWarmupAndNorm(sqMethod),
  "vq-wae": withProjection(vqwaeMethod),
  "residual": residualMethod,
  "product": productMethod,
  "multi-scale": normalizableAsWhole(multiScaleMethod, "batch"),
};

const METHODS: ReadonlyMap<string, QuantizerMethod | CompositeMethod> = new Map<
  string,
  QuantizerMethod | CompositeMethod
>(Object.entries(TABLE));

/** The names of the methods. */
export const QUANTIZER_TYPES: readonly string[] = [...METHODS.keys()];

/** The method to use if none is named. */
export const DEFAULT_QUANTIZER = "clustered-ema";

/** A method's name and settings, as in configurations. */
export interface QuantizerConfig {
  /** The method's name. */
  readonly type: string;
  /** Its settings. For a composite method, `inner` is the configuration of the inner quantisers. */
  readonly [setting: string]: unknown;
}

/** Finds a method by its name.
 * @throws {RangeError} there is no such method
 */
export function quantizerMethod(type: string): QuantizerMethod | CompositeMethod {
  const method = METHODS.get(type);
  if (method !== undefined) return method;
  throw new RangeError(
    `Cannot choose a quantizer: quantizer.type must name a method, got "${type}", ${
      suggestName(type, QUANTIZER_TYPES)
    }`,
  );
}

/** Whether a method is composite: made of quantisers of another method.
 * @throws {RangeError} there is no such method
 */
export function isComposite(type: string): boolean {
  return "makeOf" in quantizerMethod(type);
}

/** What the codes of a method describe: one position each, if the method is not composite.
 * @throws {RangeError} there is no such method
 */
export function layoutOf(type: string): CodeLayout {
  const method = quantizerMethod(type);
  return "layout" in method ? method.layout : "one";
}

/** Settings that a quantiser inside a composite one does not have, and the values that turn them off. A code of
 * normalised features could not be subtracted from the features, a warm-up cannot mix features with codes that
 * cover only a part of them, and the codes that follow a perturbed one would make up for it. */
const NOT_NESTABLE: Readonly<Record<string, unknown>> = {
  ...{ normalization: "none", warmupSteps: 0 },
  ...{ perturbation: 0, perturbationReach: 1 },
};

/** Whether a quantiser inside a composite one has this setting. */
export function isInnerSetting(name: string): boolean {
  return !(name in NOT_NESTABLE);
}

/** The schema of a quantiser's configuration: its type, the settings of its method and, for a composite method,
 * `inner`.
 * @param config what is known about the configuration; only the types in it matter
 * @param nested whether the quantiser is inside a composite one
 * @throws {RangeError} there is no such method
 */
export function quantizerSchema(config: unknown, nested = false): z.ZodType<QuantizerConfig> {
  const { type, inner } = withType(config);
  const { shape } = quantizerMethod(type).schema;
  const own = Object.entries(shape).filter(([name]) => !nested || isInnerSetting(name));
  const settings = {
    type: z.enum([...QUANTIZER_TYPES]).default(type).describe("the method of quantisation"),
    ...Object.fromEntries(own),
  };
  const inside = isComposite(type) ? { inner: quantizerSchema(inner, true) } : {};
  return z.strictObject({ ...settings, ...inside }).prefault({});
}

/** Makes a quantiser by the name of its method.
 *
 * ```ts
 * import { createQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(42, "quantizer");
 * const quantizer = createQuantizer(device, { type: "vanilla", codebookSize: 8, codebookDim: 4 }, key);
 * assert.equal(quantizer.codebookSize, 8);
 * ```
 * @param config if its type is a literal, as in the example, unknown methods and unknown settings do not compile
 * @param key for its random initial values
 * @throws {TypeError} the configuration is not an object with a type
 * @throws {RangeError} there is no such method, or a setting is not allowed
 */
export function createQuantizer<const Config extends QuantizerConfig>(
  device: Device,
  config: string extends Config["type"] ? Config : QuantizerSettings,
  key: RandomKey,
): Quantizer {
  checkHas(config, "type", "make a quantizer", "an object with a type, such as config.quantizer");
  const { type, ...settings } = config as QuantizerConfig;
  const method = quantizerMethod(type);
  if ("make" in method) return method.make(device, settings, key);
  const { inner, ...own } = settings;
  const nested = readSettings(quantizerSchema(inner, true), inner ?? {}, "make a quantizer");
  const { shape } = quantizerMethod(nested.type).schema;
  const off = Object.entries(NOT_NESTABLE).filter(([name]) => name in shape);
  const plain = isComposite(nested.type) ? nested : { ...nested, ...Object.fromEntries(off) };
  return method.makeOf(device, (key) => createQuantizer(device, plain, key), own, key);
}

/** Adds the default type to a configuration without one. */
function withType(config: unknown): QuantizerConfig {
  const given = (config ?? {}) as Partial<QuantizerConfig>;
  return { ...given, type: typeof given.type === "string" ? given.type : DEFAULT_QUANTIZER };
}
