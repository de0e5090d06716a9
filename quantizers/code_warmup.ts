/** A wrapper that gradually replaces the features by their codes at the start of training. */
import * as z from "zod";
import { add, mul } from "../core/functions/elementwise.ts";
import { readSettings } from "../settings/settings.ts";
import type { Tensor } from "../core/tensor.ts";
import { maskFeatures } from "./masks.ts";
import type { QuantizerMethod } from "./method.ts";
import type { QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { OutputWrapper } from "./wrapped.ts";

/** For the first training steps, returns a mixture of the features and their codes. The weight of the codes grows from 0
 * to 1. Losses, indices and updates are those of the inner quantiser from the start. So the encoder and the decoder can
 * learn before the codebook limits them. In evaluation and after the warm-up, it behaves like the inner quantiser.
 *
 * ```ts
 * import { openDevice, randomKey, VanillaQuantizer, CodeWarmup } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook"); // At step 0.
 * const inner = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const quantizer = new CodeWarmup(inner, 100);
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * console.log(await quantizer.quantize(features, { training: true, key }).quantized.floats()); // 1, 2, 3, 4
 * ```
 */
export class CodeWarmup extends OutputWrapper {
  readonly #steps: number;

  /** Wraps a quantiser.
   * @param steps training steps until the output is the codes alone
   */
  constructor(inner: Quantizer, steps: number) {
    super(inner);
    this.#steps = steps;
  }

  /** Losses: those of the inner quantiser. The training step is taken from `context.key`.
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const found = this.inner.quantize(features, context);
    const { training, key: { step }, mask } = context;
    if (!training || step >= this.#steps) return found;
    const share = step / this.#steps;
    const left = mul(maskFeatures(features, mask), 1 - share);
    return { ...found, quantized: add(left, mul(found.quantized, share)) };
  }
}

/** The setting that `warmable` adds to a method. */
export interface WarmupSettings {
  /** Training steps over which the codes replace the features; 0: no warm-up. */
  readonly warmupSteps: number;
}

/** The same method with the setting `warmupSteps`. */
export function warmable<Settings extends object>(
  method: QuantizerMethod<Settings>,
): QuantizerMethod<Settings & WarmupSettings>;
export function warmable(method: QuantizerMethod): QuantizerMethod {
  const schema = method.schema.extend({
    warmupSteps: z.int().min(0).default(0)
      .describe(
        "training steps over which the codes gradually replace the features; 0: no warm-up",
      ),
  });
  return {
    schema,
    make: (device, settings, key) => {
      const { warmupSteps, ...rest } = readSettings(schema, settings, "make a quantizer");
      const inner = method.make(device, rest, key);
      return warmupSteps === 0 ? inner : new CodeWarmup(inner, warmupSteps);
    },
  };
}
