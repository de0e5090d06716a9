/** A wrapper that looks codes up in fewer dimensions, for any quantiser. */
import * as z from "zod";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import { showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Linear } from "../nn/linear.ts";
import { maskFeatures, presence } from "./masks.ts";
import { codebookSizes, type QuantizerMethod } from "./method.ts";
import type { QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { WrappedQuantizer } from "./wrapped.ts";

/** Projects features to the dimension of the inner quantiser, and its codes back. In fewer dimensions, fewer codes stay
 * unused (the factorised codes of arXiv 2110.04627, section 3.2).
 *
 * ```ts
 * import { openDevice, ProjectedQuantizer, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const inner = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const quantizer = new ProjectedQuantizer(device, inner, { codebookDim: 16, key });
 * const features = device.tensor(new Float32Array(32), [2, 16]);
 * console.log(quantizer.quantize(features, { training: false, key }).quantized.shape); // [2, 16]
 * ```
 */
export class ProjectedQuantizer extends WrappedQuantizer {
  /** D: the length of the features and of the output. */
  readonly codebookDim: number;
  /** The projection D → D'. */
  readonly into: Linear;
  /** The wrapped quantiser, in D' dimensions. */
  readonly inner: Quantizer;
  /** The projection D' → D. */
  readonly out: Linear;

  /** Wraps a quantiser and makes the projections.
   * @param key for the projections' initial weights
   */
  constructor(
    device: Device,
    inner: Quantizer,
    { codebookDim, key }: { readonly codebookDim: number; readonly key: RandomKey },
  ) {
    super();
    this.codebookDim = codebookDim;
    this.into = new Linear(device, codebookDim, inner.codebookDim, { key: partKey(key, 0) });
    this.inner = inner;
    this.out = new Linear(device, inner.codebookDim, codebookDim, { key: partKey(key, 1) });
  }

  /** Losses: those of the inner quantiser, in D' dimensions.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    if (features.shape.at(-1) !== this.codebookDim) {
      throw new TypeError(
        `Cannot quantize: the last axis must be ${this.codebookDim}, got shape ${
          showShape(features.shape)
        }`,
      );
    }
    const found = this.inner.quantize(this.prepare(features, context), context);
    return { ...found, quantized: maskFeatures(this.out.forward(found.quantized), context.mask) };
  }

  /** int32 `[...]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    const codes = this.out.forward(this.inner.lookup(indices));
    return maskFeatures(codes, presence(indices, this.codeAxes));
  }

  /** Projects the features: `[..., D]` → `[..., D']`. */
  protected override prepare(features: Tensor, { mask }: QuantizeContext): Tensor {
    return this.into.forward(maskFeatures(features, mask));
  }
}

/** The setting that `projectable` adds to a method. */
export interface LookupSettings {
  /** The dimension that features are projected to for the lookup; null: no projection. */
  readonly lookupDim: number | null;
}

/** The same method with the setting `lookupDim`. If it is not null, features are looked up in that many dimensions;
 * they are projected from `codebookDim` dimensions and back.
 * @param method one with the setting `codebookDim`
 */
export function projectable<Settings extends object>(
  method: QuantizerMethod<Settings>,
): QuantizerMethod<Settings & LookupSettings>;
export function projectable(method: QuantizerMethod): QuantizerMethod {
  const lookupDim = z.int().min(1).nullable().default(null)
    .describe("the dimension that features are projected to for the lookup; none: no projection");
  const schema = method.schema.extend({ codebookDim: codebookSizes.codebookDim, lookupDim });
  return {
    schema,
    make: (device, settings, key) => {
      const { lookupDim, codebookDim, ...rest } = readSettings(
        schema,
        settings,
        "make a quantizer",
      );
      if (lookupDim === null) return method.make(device, { ...rest, codebookDim }, key);
      const inner = method.make(device, { ...rest, codebookDim: lookupDim }, key);
      return new ProjectedQuantizer(device, inner, { codebookDim, key: partKey(key, 5) });
    },
  };
}
