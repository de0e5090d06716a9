/** The codebook that replaces dead codes by features of the batch (arXiv 2005.00341). */
import * as z from "zod";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device } from "../core/tensor.ts";
import { CodebookQuantizer } from "./codebook.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";

/** The settings of hard encoded features; `quantizerDefaults("hard-features")` gives the defaults. */
export type HardFeaturesSettings = CodebookSettings;

/** Options of the constructor. */
export interface HardFeaturesOptions extends Partial<HardFeaturesSettings> {
  /** Key for the initial codebook. */
  readonly key: RandomKey;
}

/** The plain quantiser, with dead codes replaced. A code is dead if, by an exponential moving average, fewer than one
 * feature per batch is assigned to it. It is replaced by a random feature of the batch (`DeadCodes`).
 *
 * Source: arXiv 2005.00341 (Jukebox), as in the ablation of arXiv 2307.15139. Unlike there, the count and the optimiser
 * moments of a replaced code are reset.
 *
 * ```ts
 * import { HardFeaturesQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new HardFeaturesQuantizer(device, { codebookSize: 4, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const context = { training: true, key };
 * const [move] = quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
 * console.log(await move.share.floats()); // 1 for each replaced code
 * ```
 */
export class HardFeaturesQuantizer extends CodebookQuantizer {
  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: HardFeaturesOptions) {
    const action = "make a hard-features codebook";
    super(device, readSettings(hardFeaturesMethod.schema, options, action), key);
  }
}

/** `hard-features` in the registry. */
export const hardFeaturesMethod: QuantizerMethod<HardFeaturesSettings> = {
  schema: z.strictObject(codebookSettings("l2", 1)),
  make: (device, settings, key) => new HardFeaturesQuantizer(device, { ...settings, key }),
};
