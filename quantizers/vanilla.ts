/** The plain vector quantiser of VQ-VAE (arXiv 1711.00937). */
import { z } from "zod";
import { straightThrough } from "../core/execute.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../core/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import {
  type CodebookSettings,
  codebookSettings,
  distanceSetting,
  type QuantizerMethod,
} from "./method.ts";
import { type QuantizeContext, type Quantized, Quantizer } from "./quantizer.ts";
import { codebookLosses, nearestCodes, uniformCodebook } from "./steps.ts";

/** The settings of a plain quantiser; `quantizerDefaults("vanilla")` gives the defaults. */
export interface VanillaSettings extends CodebookSettings {
  /** How nearness is measured. The loss uses the unnormalised vectors either way. */
  readonly distance: Distance;
}

/** How a plain quantiser is made. */
export interface VanillaOptions extends Partial<VanillaSettings> {
  /** Of the initial codebook. */
  readonly key: RandomKey;
}

/** Replaces each feature by its nearest code; the codes learn from the gradient of the codebook loss.
 *
 * Source: arXiv 1711.00937, METHOD section 2.
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
export class VanillaQuantizer extends Quantizer {
  /** K. */
  readonly codebookSize: number;
  /** D. */
  readonly codebookDim: number;
  /** `[K, D]`, initially uniform in (−1/K, 1/K). */
  readonly codebook: Tensor;
  readonly #distance: Distance;
  readonly #commitmentWeight: number;

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: VanillaOptions) {
    super();
    const { codebookSize, codebookDim, distance, commitmentWeight } = readSettings(
      vanillaMethod.schema,
      options,
      "make a vanilla quantizer",
    );
    this.codebookSize = codebookSize;
    this.codebookDim = codebookDim;
    this.codebook = uniformCodebook(device, codebookSize, codebookDim, key);
    this.#distance = distance;
    this.#commitmentWeight = commitmentWeight;
  }

  /** Losses: `commitment` and `codebook`.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, _context: QuantizeContext): Quantized {
    const indices = nearestCodes(features, this.codebook, this.#distance);
    const codes = this.lookup(indices);
    return {
      quantized: straightThrough(features, codes),
      indices,
      losses: codebookLosses(features, codes, this.#commitmentWeight),
      usage: segmentCount(indices, this.codebookSize),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    return gather(this.codebook, indices);
  }
}

/** `vanilla` in the registry. */
export const vanillaMethod: QuantizerMethod<VanillaSettings> = {
  schema: z.strictObject({ ...codebookSettings, distance: distanceSetting("l2") }),
  make: (device, settings, key) => new VanillaQuantizer(device, { ...settings, key }),
};
