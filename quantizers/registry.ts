/** The methods that can be chosen by name: in the configuration, on the command line, in ablations. */
import { suggestName } from "../core/nearest_name.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { clusteredMethod } from "./clustered.ts";
import { emaMethod } from "./ema.ts";
import { hardFeaturesMethod } from "./hard_features.ts";
import type { QuantizerMethod } from "./method.ts";
import { nearCodesMethod } from "./near_codes.ts";
import { projectable } from "./projected.ts";
import type { Quantizer } from "./quantizer.ts";
import { vanillaMethod } from "./vanilla.ts";

/** Every method by name; adding one is a file in this folder and a line here. */
const METHODS: ReadonlyMap<string, QuantizerMethod> = new Map<string, QuantizerMethod>([
  ["vanilla", projectable(vanillaMethod)],
  ["clustered", projectable(clusteredMethod)],
  ["ema", projectable(emaMethod)],
  ["near-codes", projectable(nearCodesMethod)],
  ["hard-features", projectable(hardFeaturesMethod)],
]);

/** The names of the methods. */
export const QUANTIZER_TYPES: readonly string[] = [...METHODS.keys()];

/** A method's name and its settings, as configurations hold them. */
export interface QuantizerConfig {
  /** The method's name. */
  readonly type: string;
  /** Its settings. */
  readonly [setting: string]: unknown;
}

/** The method of a name.
 * @throws {RangeError} there is none
 */
export function quantizerMethod(type: string): QuantizerMethod {
  const method = METHODS.get(type);
  if (method !== undefined) return method;
  throw new RangeError(
    `Cannot choose a quantizer: quantizer.type must name a method, got "${type}", ${
      suggestName(type, QUANTIZER_TYPES)
    }`,
  );
}

/** Makes a quantiser by the name of its method.
 *
 * ```ts
 * import { createQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const settings = { type: "vanilla", codebookSize: 8, codebookDim: 4 };
 * const quantizer = createQuantizer(device, settings, randomKey(42, "quantizer"));
 * assert.equal(quantizer.codebookSize, 8);
 * ```
 * @param key of its random initial values
 * @throws {RangeError} there is no such method, or a setting is not one that it allows
 */
export function createQuantizer(
  device: Device,
  { type, ...settings }: QuantizerConfig,
  key: RandomKey,
): Quantizer {
  return quantizerMethod(type).make(device, settings, key);
}
