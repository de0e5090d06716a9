/** A wrapper that normalises features before any quantiser. */
import * as z from "zod";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import {
  FEATURE_NORMALIZATIONS,
  type FeatureNormalization,
  makeNormalization,
} from "./feature_normalization.ts";
import { maskFeatures } from "./masks.ts";
import type { CompositeMethod, QuantizerMethod } from "./method.ts";
import type { QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { WrappedQuantizer } from "./wrapped.ts";

/** Normalises features before the inner quantiser looks them up. It returns the inner quantiser's codes, in the
 * normalised space. So the encoder cannot make the features grow or drift away from the codes.
 *
 * ```ts
 * import { BatchNormalization, NormalizedQuantizer } from "@codebook/codebook";
 * import { openDevice, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const inner = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const quantizer = new NormalizedQuantizer(inner, new BatchNormalization(device, 2));
 * const near = device.tensor([1, 2, 3, 4], [2, 2]), far = device.tensor([100, 200, 300, 400], [2, 2]);
 * const context = { training: true, key };
 * const indices = [near, far].map((features) => {
 *   quantizer.begin(features, context);
 *   return quantizer.quantize(features, context).indices;
 * });
 * console.log(await indices[0].integers(), await indices[1].integers()); // the same
 * ```
 */
export class NormalizedQuantizer extends WrappedQuantizer {
  /** The normalisation. */
  readonly normalization: FeatureNormalization;
  /** The wrapped quantiser, which sees the normalised features. */
  readonly inner: Quantizer;

  /** Wraps a quantiser. */
  constructor(inner: Quantizer, normalization: FeatureNormalization) {
    super();
    this.inner = inner;
    this.normalization = normalization;
  }

  /** D. */
  get codebookDim(): number {
    return this.inner.codebookDim;
  }

  /** Always true: every training batch updates the running statistics. */
  override get awaitsBatch(): boolean {
    return true;
  }

  /** Updates the running statistics with the batch, then calls the inner quantiser's `begin` with the normalised
   * features.
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!context.training) return;
    this.normalization.observe(features, context.mask, context.replicas);
    super.begin(features, context);
  }

  /** Losses: those of the inner quantiser, in the normalised space.
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    return this.inner.quantize(this.prepare(features, context), context);
  }

  /** int32 `[...]` → float32 `[..., D]`, in the normalised space. */
  lookup(indices: Tensor): Tensor {
    return this.inner.lookup(indices);
  }

  /** Normalises the features, for the inner quantiser.
   * @throws {TypeError} the mask does not have one value per feature
   */
  override prepare(features: Tensor, context: QuantizeContext): Tensor {
    const { training, mask, replicas } = context;
    return this.normalization.normalize(maskFeatures(features, mask), training, mask, replicas);
  }
}

/** The setting that `normalizable` adds to a method. */
export interface NormalizationSettings {
  /** How features are normalised before the lookup. */
  readonly normalization: "none" | "batch" | "deviation";
}

/** The setting's schema, to be spread into that of a method. */
const schemaOf = (usual: NormalizationSettings["normalization"]) => ({
  normalization: z.enum(["none", ...FEATURE_NORMALIZATIONS]).default(usual).describe(
    "how features are normalised before the lookup",
  ),
});

/** Wraps a quantiser in a normalisation, unless the setting is `none`. */
function normalized(
  device: Device,
  quantizer: Quantizer,
  normalization: NormalizationSettings["normalization"],
): Quantizer {
  if (normalization === "none") return quantizer;
  const made = makeNormalization(device, normalization, quantizer.codebookDim);
  return new NormalizedQuantizer(quantizer, made);
}

/** The same method with the setting `normalization`.
 * @param usual the setting's default
 */
export function normalizable<Settings extends object>(
  method: QuantizerMethod<Settings>,
  usual?: NormalizationSettings["normalization"],
): QuantizerMethod<Settings & NormalizationSettings>;
export function normalizable(
  method: QuantizerMethod,
  usual: NormalizationSettings["normalization"] = "none",
): QuantizerMethod {
  const schema = method.schema.extend(schemaOf(usual));
  return {
    schema,
    make: (device, settings, key) => {
      const { normalization, ...rest } = readSettings(schema, settings, "make a quantizer");
      return normalized(device, method.make(device, rest, key), normalization);
    },
  };
}

/** The same for a composite method: the features are normalised once, before all inner quantisers.
 * @param usual the setting's default
 */
export function normalizableAsWhole<Settings extends object>(
  method: CompositeMethod<Settings>,
  usual: NormalizationSettings["normalization"],
): CompositeMethod<Settings & NormalizationSettings>;
export function normalizableAsWhole(
  method: CompositeMethod,
  usual: NormalizationSettings["normalization"],
): CompositeMethod {
  const schema = method.schema.extend(schemaOf(usual));
  return {
    ...method,
    schema,
    makeOf: (device, inner, settings, key) => {
      const { normalization, ...rest } = readSettings(schema, settings, "make a quantizer");
      return normalized(device, method.makeOf(device, inner, rest, key), normalization);
    },
  };
}
