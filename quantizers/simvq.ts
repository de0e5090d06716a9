/** SimVQ: a codebook followed by a linear layer (arXiv 2411.02038). */
import * as z from "zod";
import { assign } from "../core/execute.ts";
import { normal } from "../core/functions/creation.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Linear } from "../nn/linear.ts";
import { CodebookQuantizer } from "./codebook.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";
import { normalizeRows } from "./codebook_losses.ts";

/** The settings of a SimVQ quantiser; `quantizerDefaults("simvq")` gives the defaults. */
export type SimVQSettings = Omit<
  CodebookSettings,
  "initialization" | "replaceBelow" | "countDecay" | "frozen"
>;

/** Options of the constructor. */
export interface SimVQOptions extends Partial<SimVQSettings> {
  /** Key for the basis and the map. */
  readonly key: RandomKey;
}

/** The codes are a frozen random basis times a learned matrix. The gradient of any code moves all codes, so unused codes
 * do not stay behind.
 *
 * Source: arXiv 2411.02038, section 4:
 *
 *     e = C·W    C `[K, D]` normal with standard deviation 1/√D, frozen; W `[D, D]` learned
 *     loss = β·mean(‖sg(e) − z‖²) + mean(‖e − sg(z)‖²)
 *
 * Besides the lookup, a step costs K·D² multiplications.
 *
 * ```ts
 * import { openDevice, randomKey, SimVQQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new SimVQQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * assert.deepEqual([...quantizer.namedParameters().keys()], ["map.weight"]);
 * ```
 */
export class SimVQQuantizer extends CodebookQuantizer {
  /** W: `[D, D]`. */
  readonly map: Linear;

  /** Makes the basis, stored as `codebook`, and the map.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: SimVQOptions) {
    const settings = readSettings(simvqMethod.schema, options, "make a SimVQ quantizer");
    super(device, { ...UNUSED, ...settings }, key);
    const { codebookSize, codebookDim } = settings;
    const deviation = 1 / Math.sqrt(codebookDim);
    using basis = normal(device, [codebookSize, codebookDim], partKey(key, 0), 0, deviation);
    assign(this.codebook, basis);
    this.codebook.requiresGradient = false;
    this.map = new Linear(device, codebookDim, codebookDim, { key: partKey(key, 1), bias: false });
  }

  /** The codes C·W. */
  override codes(): Tensor {
    const codes = this.map.forward(this.codebook);
    return this.settings.unitLength ? normalizeRows(codes) : codes;
  }
}

/** The codebook settings that this method does not have, because its basis never changes. */
const UNUSED = {
  initialization: "uniform",
  replaceBelow: 0,
  countDecay: 0,
  frozen: false,
} as const;

/** `simvq` in the registry. */
export const simvqMethod: QuantizerMethod<SimVQSettings> = {
  schema: z.strictObject(codebookSettings("l2")).omit({
    initialization: true,
    replaceBelow: true,
    countDecay: true,
    frozen: true,
  }),
  make: (device, settings, key) => new SimVQQuantizer(device, { ...settings, key }),
};
