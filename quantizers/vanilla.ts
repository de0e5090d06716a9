/** The plain vector quantiser of VQ-VAE (arXiv 1711.00937). */
import * as z from "zod";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device } from "../core/tensor.ts";
import { CodebookQuantizer } from "./codebook.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";

/** The settings of a plain quantiser; `quantizerDefaults("vanilla")` gives the defaults. */
export type VanillaSettings = CodebookSettings;

/** Options of the constructor. */
export interface VanillaOptions extends Partial<VanillaSettings> {
  /** Key for the initial codebook. */
  readonly key: RandomKey;
}

/** Replaces each feature by its nearest code; the codes learn from the gradient of the codebook loss.
 *
 * Source: arXiv 1711.00937, section 3.1.
 *
 * ```ts
 * import { openDevice, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { quantized, indices } = quantizer.quantize(features, { training: false, key });
 * assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
 * ```
 */
export class VanillaQuantizer extends CodebookQuantizer {
  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: VanillaOptions) {
    super(device, readSettings(vanillaMethod.schema, options, "make a vanilla quantizer"), key);
  }
}

/** `vanilla` in the registry. */
export const vanillaMethod: QuantizerMethod<VanillaSettings> = {
  schema: z.strictObject(codebookSettings("l2")),
  make: (device, settings, key) => new VanillaQuantizer(device, { ...settings, key }),
};
