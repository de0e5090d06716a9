/** Product quantisation: one code for each part of the channels. */
import * as z from "zod";
import { withoutGradients } from "../core/execute.ts";
import { concatenate, reshape, slice, toRows } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Tensor } from "../core/tensor.ts";
import { combined, CompositeQuantizer } from "./composite.ts";
import { countNonFinite, markRows, sortFeatures } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import type { CompositeMethod } from "./method.ts";
import type { Assignment, Move, QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";

/** The settings of a product quantiser; `quantizerDefaults("product")` gives the defaults. */
export interface ProductSettings {
  /** How many parts to split the channels into. */
  readonly heads: number;
  /** Whether all parts share one codebook. */
  readonly shared: boolean;
}

/** Options of the constructor. */
export interface ProductOptions extends Partial<ProductSettings> {
  /** Makes the quantiser of a part, with the random initial values of the given key. */
  readonly inner: (key: RandomKey) => Quantizer;
  /** Key for the random initial values. */
  readonly key: RandomKey;
}

/** Splits the channels into contiguous parts and quantises each part (multi-head). K codes of D/heads dimensions can
 * express K^heads combinations.
 *
 * Source: Jégou et al. 2011, "Product quantization for nearest neighbor search"; with one codebook for all parts, MoVQ
 * (arXiv 2209.09002), section 3.2. D is `heads` times the inner quantiser's. Losses are means over the parts; usage and
 * indices (int32 `[..., heads]`) cover all parts. The cost per feature is `heads` times that of the inner quantiser.
 *
 * ```ts
 * import { openDevice, ProductQuantizer, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new ProductQuantizer({
 *   inner: (key) => new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key }),
 *   heads: 3,
 *   key,
 * });
 * assert.deepEqual([quantizer.codebookDim, quantizer.codebookSize], [6, 24]);
 * const features = device.tensor([1, 2, 3, 4, 5, 6], [1, 6]);
 * const { indices } = quantizer.quantize(features, { training: false, key });
 * assert.deepEqual(indices.shape, [1, 3]);
 * ```
 */
export class ProductQuantizer extends CompositeQuantizer {
  /** D. */
  readonly codebookDim: number;

  /** Makes the inner quantisers; only one if it is shared.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor({ inner, key, ...options }: ProductOptions) {
    const { heads, shared } = readSettings(
      productMethod.schema,
      options,
      "make a product quantizer",
    );
    super({ inner, count: heads, shared, key });
    this.codebookDim = heads * this.parts[0].codebookDim;
  }

  /** Calls `begin` of the inner quantisers with their parts. */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!this.awaitsBatch) return;
    withoutGradients(() => {
      using _scope = features.device.scope();
      this.#partsOf(marked(features, context))
        .forEach((own, part) => this.beginPart(part, own, context, part));
    });
  }

  /** Each part in the form that its inner quantiser compares with its codes: float32 `[..., heads, D']`. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    const parts = this.#partsOf(marked(features, context))
      .map((own, part) => this.comparedPart(part, own, context));
    return joinAt(parts, features.shape.length - 1);
  }

  /** Losses: those of the inner quantiser, averaged over the parts.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const { values, finite } = sortFeatures(features, context.mask);
    const results = this.#partsOf(markRows(values, finite))
      .map((own, part) => this.quantizePart(part, own, context, part));
    const join = (parts: Tensor[]) => joinAt(parts, features.shape.length - 1);
    return {
      ...combined(results),
      quantized: reshape(join(results.map(({ quantized }) => quantized)), features.shape),
      indices: join(results.map(({ indices }) => indices)),
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[..., heads]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    const at = indices.shape.length - this.codeAxes.length;
    const codes = this.#split(indices, at).map((own, part) => this.lookupPart(part, own));
    return reshape(joinAt(codes, at), [...indices.shape.slice(0, at), this.codebookDim]);
  }

  /** Updates the inner quantisers with their parts. */
  override update(
    { features, indices, usage }: Assignment,
    context: QuantizeContext,
  ): readonly Move[] {
    const own = this.#split(indices, features.shape.length - 1);
    return this.#partsOf(marked(features, context)).flatMap((features, part) =>
      this.updatePart(part, { features, indices: own[part], usage }, context)
    );
  }

  /** The part of the features for each inner quantiser. */
  #partsOf(values: Tensor): Tensor[] {
    return this.#split(this.#byHead(values), values.shape.length - 1);
  }

  /** `[..., D]` → `[..., heads, D/heads]`. */
  #byHead(features: Tensor): Tensor {
    const rows = toRows(features, this.codebookDim, "quantize");
    return reshape(rows, [...features.shape.slice(0, -1), this.count, rows.shape[1] / this.count]);
  }

  /** The part of a tensor for each inner quantiser: all heads, or one of them. The heads lie along `axis`. */
  #split(x: Tensor, axis: number): Tensor[] {
    if (this.parts.length === 1) return [x];
    const starts = x.shape.map(() => 0);
    return this.parts.map((_, head) => slice(x, starts.with(axis, head), x.shape.with(axis, 1)));
  }
}

/** Sets features that are not finite to NaN in every channel, so that they are not finite in every part. */
function marked(features: Tensor, { mask }: QuantizeContext): Tensor {
  const { values, finite } = sortFeatures(features, mask);
  return markRows(values, finite);
}

function joinAt([first, ...rest]: readonly Tensor[], axis: number): Tensor {
  return rest.length === 0 ? first : concatenate([first, ...rest], axis);
}

/** `product` in the registry. */
export const productMethod: CompositeMethod<ProductSettings> = {
  layout: "several",
  schema: z.strictObject({
    heads: z.int().min(1).default(4).describe("the number of parts to split the channels into"),
    shared: z.boolean().default(false).describe("whether all parts share one codebook"),
  }),
  makeOf: (_device, inner, settings, key) => new ProductQuantizer({ ...settings, inner, key }),
};
