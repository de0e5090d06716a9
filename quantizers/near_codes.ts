/** The codebook that moves rarely used codes next to the most used one (arXiv 2002.08111). */
import * as z from "zod";
import { assign } from "../core/execute.ts";
import { normal, zeros } from "../core/functions/creation.ts";
import { add, cast, less, mul } from "../core/functions/elementwise.ts";
import { gather } from "../core/functions/indexing.ts";
import { argmax, max } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Counter } from "../nn/module.ts";
import { type CodebookBatch, CodebookQuantizer } from "./codebook.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";
import type { Move } from "./quantizer.ts";

/** The settings of near code vectors; `quantizerDefaults("near-codes")` gives the defaults. */
export interface NearCodesSettings extends CodebookSettings {
  /** Training steps between resets. */
  readonly resetEverySteps: number;
  /** A code is reset if its usage is below this fraction of the most used code's. */
  readonly resetBelow: number;
  /** The standard deviation of the noise added to a reset code. */
  readonly deviation: number;
}

/** Options of the constructor. */
export interface NearCodesOptions extends Partial<NearCodesSettings> {
  /** Key for the initial codebook. */
  readonly key: RandomKey;
}

/** The plain quantiser, with rarely used codes reset. Every `resetEverySteps` steps, a code whose usage since the last
 * reset is under 3 % of the most used code's becomes the most used code plus normal noise.
 *
 * Source: arXiv 2002.08111 (Williams 2020), as in the ablation of arXiv 2307.15139. The optimiser moments of a reset
 * code are reset too.
 *
 * ```ts
 * import { NearCodesQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const options = { codebookSize: 4, codebookDim: 2, resetEverySteps: 1, key };
 * const quantizer = new NearCodesQuantizer(device, options);
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const context = { training: true, key };
 * quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
 * console.log(await quantizer.codebook.floats()); // four codes close to each other
 * ```
 */
export class NearCodesQuantizer extends CodebookQuantizer<NearCodesSettings> {
  /** float32 `[K]`: how often each code was chosen since the last reset. */
  readonly recentUsage: Tensor;
  /** Steps since the last reset. */
  readonly steps: Counter = new Counter();

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: NearCodesOptions) {
    const action = "make a near-codes codebook";
    super(device, readSettings(nearCodesMethod.schema, options, action), key);
    this.recentUsage = zeros(device, [this.codebookSize]);
  }

  /** Counts the batch, and resets rarely used codes every `resetEverySteps` steps. */
  protected override learn({ usage, key }: CodebookBatch): readonly Move[] {
    const { resetEverySteps, resetBelow, deviation } = this.settings;
    const { codebook, recentUsage, steps } = this;
    const { device, shape } = codebook;
    const counts = add(recentUsage, cast(usage, "float32"));
    if (++steps.value < resetEverySteps) {
      assign(recentUsage, counts);
      return [];
    }
    steps.value = 0;
    assign(recentUsage, zeros(device, recentUsage.shape));
    const mostUsed = gather(codebook, argmax(counts));
    const near = add(mostUsed, normal(device, shape, partKey(key, 4), 0, deviation));
    return [this.replace(less(counts, mul(max(counts), resetBelow)), near)];
  }
}

/** `near-codes` in the registry. */
export const nearCodesMethod: QuantizerMethod<NearCodesSettings> = {
  schema: z.strictObject({
    ...codebookSettings("l2"),
    resetEverySteps: z.int().min(1).default(20)
      .describe("training steps between resets of rarely used codes"),
    resetBelow: z.number().min(0).max(1).default(0.03)
      .describe("reset a code if its usage is below this fraction of the most used code's"),
    deviation: z.number().positive().default(0.01)
      .describe("standard deviation of the noise added to a reset code"),
  }),
  make: (device, settings, key) => new NearCodesQuantizer(device, { ...settings, key }),
};
