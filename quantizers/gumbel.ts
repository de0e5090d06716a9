/** The Gumbel-softmax quantiser (arXiv 1611.01144), as DALL·E and ImageBART use it. */
import * as z from "zod";
import { detach, parameter } from "../core/execute.ts";
import { normal } from "../core/functions/creation.ts";
import { add, mul, sub } from "../core/functions/elementwise.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { argmax, softmax, sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Linear } from "../nn/linear.ts";
import { SINGLE } from "../nn/replicas.ts";
import { gumbelNoise, uniformDivergence } from "./gumbel_softmax.ts";
import { countNonFinite, markRows, sortFeatures } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import { featureShares, maskFeatures, maskIndices, weighLosses } from "./masks.ts";
import { type CodebookSizes, codebookSizes, type QuantizerMethod } from "./method.ts";
import { type QuantizeContext, type Quantized, Quantizer } from "./quantizer.ts";

/** The settings of a Gumbel-softmax quantiser; `quantizerDefaults("gumbel")` gives the defaults. */
export interface GumbelSettings extends CodebookSizes {
  /** Whether the decoder gets a single code in training (with the gradient of the relaxed sample), or the relaxed sample
   * itself. */
  readonly hard: boolean;
  /** Weight of the KL divergence of the code distribution from the uniform distribution. */
  readonly klWeight: number;
  /** τ at the first step. */
  readonly initialTemperature: number;
  /** r: how fast τ decays. */
  readonly temperatureDecay: number;
  /** The smallest τ. */
  readonly temperatureFloor: number;
}

/** Options of the constructor. */
export interface GumbelOptions extends Partial<GumbelSettings> {
  /** Key for the initial codebook and the linear layer. */
  readonly key: RandomKey;
}

/** Samples a code for each feature, with logits from a linear layer (a 1×1 convolution). The sample is relaxed to a
 * softmax, so that gradients pass. The encoder, the linear layer and the codes learn from the reconstruction loss.
 *
 * Source: arXiv 1611.01144, sections 2.1 and 2.2; the KL term as in DALL·E (arXiv 2102.12092).
 *
 *     ℓ = W·z + b    q = softmax(ℓ)    k = argmax(ℓ + g), g standard Gumbel
 *     y = softmax((ℓ + g)/τ)    τ = max(floor, τ₀·exp(−r·step))
 *     soft: ẑ = Σ_k y_k·e_k    hard: ẑ = e_k, with the gradient of Σ_k (onehot − sg(y) + y)_k·e_k
 *     loss = w·mean KL(q ‖ uniform)
 *
 * In evaluation ẑ = e_k with k = argmax ℓ. The method needs the N × K matrix of logits; training holds it in memory
 * several times. The cost per feature is O(K·D).
 *
 * ```ts
 * import { GumbelQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new GumbelQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { quantized, indices } = quantizer.quantize(features, { training: true, key });
 * assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
 * ```
 */
export class GumbelQuantizer extends Quantizer {
  /** K. */
  readonly codebookSize: number;
  /** D. */
  readonly codebookDim: number;
  /** `[K, D]`, initially standard normal. */
  readonly codebook: Tensor;
  /** Features `[..., D]` → logits `[..., K]`. */
  readonly toLogits: Linear;
  readonly #settings: GumbelSettings;

  /** Makes the codebook and the linear layer.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: GumbelOptions) {
    super();
    const settings = readSettings(gumbelMethod.schema, options, "make a Gumbel-softmax quantizer");
    const { codebookSize, codebookDim } = settings;
    this.#settings = settings;
    this.codebookSize = codebookSize;
    this.codebookDim = codebookDim;
    this.codebook = parameter(normal(device, [codebookSize, codebookDim], partKey(key, 0)));
    this.toLogits = new Linear(device, codebookDim, codebookSize, { key: partKey(key, 1) });
  }

  /** Losses: `divergence`.
   * @returns the indices that were drawn; in training with `hard` off, `quantized` is a mixture instead of their codes
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  quantize(
    features: Tensor,
    { training, key, mask, replicas = SINGLE }: QuantizeContext,
  ): Quantized {
    const positions = features.shape.slice(0, -1);
    const { values, finite, present } = sortFeatures(features, mask);
    const rows = toRows(markRows(values, finite), this.codebookDim, "quantize");
    const logits = this.toLogits.forward(rows);
    const drawn = training ? add(logits, gumbelNoise(logits, key, replicas)) : logits;
    const indices = maskIndices(reshape(argmax(drawn), positions), present);
    const codes = this.lookup(indices);
    const quantized = training ? this.#soften(codes, drawn, key.step, mask) : codes;
    const divergence = sum(mul(uniformDivergence(logits), featureShares(rows, mask)));
    return {
      quantized: markRows(quantized, finite),
      indices,
      losses: weighLosses(
        { divergence: mul(divergence, this.#settings.klWeight) },
        mask,
        replicas,
      ),
      usage: segmentCount(indices, this.codebookSize),
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`; zeros for −1. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    return gather(this.codebook, indices);
  }

  /** The codebook. */
  override codes(): Tensor {
    return this.codebook;
  }

  /** The sampled codes with the gradient of the relaxed sample, or the relaxed sample itself. */
  #soften(codes: Tensor, drawn: Tensor, step: number, mask: Tensor | undefined): Tensor {
    const { hard, initialTemperature, temperatureDecay, temperatureFloor } = this.#settings;
    const now = Math.max(temperatureFloor, initialTemperature * Math.exp(-temperatureDecay * step));
    const shares = softmax(mul(drawn, 1 / now));
    const mixed = matmul(shares, hard ? detach(this.codebook) : this.codebook);
    const soft = maskFeatures(reshape(mixed, codes.shape), mask);
    return hard ? add(codes, sub(soft, detach(soft))) : soft;
  }
}

/** `gumbel` in the registry. */
export const gumbelMethod: QuantizerMethod<GumbelSettings> = {
  schema: z.strictObject({
    ...codebookSizes,
    hard: z.boolean().default(true)
      .describe("whether the decoder gets a single code in training (true) or a mixture (false)"),
    klWeight: z.number().min(0).default(5e-4)
      .describe("the weight of the KL divergence from the uniform distribution"),
    initialTemperature: z.number().positive().default(1).describe(
      "τ: the temperature at the first step",
    ),
    temperatureDecay: z.number().min(0).default(1e-4)
      .describe("r: τ decays as exp(−r·step)"),
    temperatureFloor: z.number().positive().default(0.5).describe("the smallest τ"),
  }),
  make: (device, settings, key) => new GumbelQuantizer(device, { ...settings, key }),
};
