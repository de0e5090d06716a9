/** The Gaussian stochastic quantiser of SQ-VAE (arXiv 2205.07547). */
import * as z from "zod";
import { parameter } from "../core/execute.ts";
import { full, normal } from "../core/functions/creation.ts";
import {
  add,
  cast,
  div,
  equal,
  exp,
  log,
  maximum,
  mul,
  square,
  sub,
  where,
} from "../core/functions/elementwise.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import { broadcast, reshape, toRows } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { argmax, softmax, sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Linear } from "../nn/linear.ts";
import { SINGLE } from "../nn/replicas.ts";
import { similarities } from "./contrastive.ts";
import { gumbelNoise, uniformDivergence } from "./gumbel_softmax.ts";
import { countNonFinite, markRows, type SortedFeatures, sortFeatures } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import { imageCount, maskFeatures, maskIndices, weighLosses } from "./masks.ts";
import { type CodebookSizes, codebookSizes, type QuantizerMethod } from "./method.ts";
import {
  type ImageStatistics,
  type QuantizeContext,
  type Quantized,
  Quantizer,
} from "./quantizer.ts";
import { nearestCodes } from "./codebook_losses.ts";

/** How many variances there are: one in total (I), or one per image (II), per position (III), or per position and
 * channel (IV). */
export type VarianceType = "I" | "II" | "III" | "IV";

/** The settings of a stochastic quantiser; `quantizerDefaults("sq")` gives the defaults. */
export interface SQSettings extends CodebookSizes {
  /** How many variances there are. */
  readonly variance: VarianceType;
  /** The initial value of eˢ. */
  readonly initialVariance: number;
  /** r: the decay rate of the temperature of the relaxed sample. */
  readonly temperatureDecay: number;
}

/** Options of the constructor. */
export interface SQOptions extends Partial<SQSettings> {
  /** Key for the initial codebook and variances. */
  readonly key: RandomKey;
}

/** Samples a code for each feature; nearer codes are more likely. The variance is learned. It falls as the
 * reconstruction improves, so the quantiser anneals itself and codes do not die early.
 *
 * Source: arXiv 2205.07547. For features z of B images,
 *
 *     σ² = eˢ + e^v    v = 0 (type I), or a linear map of z: one value per image, of its mean feature (II), one per
 *                          position (III), one per position and channel (IV, where ‖·‖²/σ² is a sum over channels)
 *     ℓ_k = −‖z − e_k‖²/2σ²    P = softmax(ℓ)    ẑ = Σ_k softmax((ℓ + g)/τ)_k·e_k, g standard Gumbel, τ = exp(−r·step)
 *     loss = (D_x/2)·ln(squared error per image) + (Σ P·ln(P·K) + Σ ‖z − ẑ‖²/2σ²)/B
 *
 * The first term replaces the model's own (`reconstructionLoss`). Unlike in the paper, v is computed from the features
 * instead of by a head of the encoder, so that any encoder works; and the constant ln K makes the second term the KL
 * divergence of P from the uniform distribution, which is at least 0. The first axis of the features is that of the
 * images; `[N, D]` means N images of one position.
 *
 * In training the method needs the N × K matrix of logits and holds it in memory several times. The cost per feature is
 * O(K·D). Evaluation takes the most likely code. For types I to III that is the nearest one, found without the matrix.
 *
 * ```ts
 * import { openDevice, randomKey, SQQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new SQQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { quantized, indices } = quantizer.quantize(features, { training: false, key });
 * assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
 * ```
 */
export class SQQuantizer extends Quantizer {
  /** K. */
  readonly codebookSize: number;
  /** D. */
  readonly codebookDim: number;
  /** `[K, D]`, initially standard normal. */
  readonly codebook: Tensor;
  /** s, a scalar. */
  readonly logVariance: Tensor;
  /** Maps features to v; undefined for type I. */
  readonly toLogVariance: Linear | undefined;
  readonly #settings: SQSettings;

  /** Makes the codebook and the variance.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: SQOptions) {
    super();
    const settings = readSettings(sqMethod.schema, options, "make a stochastic quantizer");
    const { codebookSize, codebookDim, variance, initialVariance } = settings;
    this.#settings = settings;
    this.codebookSize = codebookSize;
    this.codebookDim = codebookDim;
    this.codebook = parameter(normal(device, [codebookSize, codebookDim], partKey(key, 0)));
    this.logVariance = parameter(full(device, [], Math.log(initialVariance)));
    this.toLogVariance = variance === "I"
      ? undefined
      : new Linear(device, codebookDim, variance === "IV" ? codebookDim : 1, {
        key: partKey(key, 1),
      });
  }

  /** Losses, in training: `divergence` and `distance`.
   * @returns the indices of the most likely codes; in training, `quantized` is a mixture instead of their codes
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  quantize(
    features: Tensor,
    { training, key, mask, replicas = SINGLE }: QuantizeContext,
  ): Quantized {
    const positions = features.shape.slice(0, -1);
    const sorted = sortFeatures(features, mask);
    const { values, finite } = sorted;
    const rows = toRows(values, this.codebookDim, "quantize");
    if (!training && this.#settings.variance !== "IV") {
      return this.#chosen(nearestCodes(values, this.codebook, "l2"), sorted);
    }
    const precisions = div(0.5, this.#variances(rows, sorted, mask));
    const logits = this.#logits(rows, precisions);
    const chosen = this.#chosen(reshape(argmax(logits), positions), sorted);
    if (!training) return chosen;

    const temperature = Math.exp(-this.#settings.temperatureDecay * key.step);
    const shares = softmax(mul(add(logits, gumbelNoise(logits, key, replicas)), 1 / temperature));
    const mixed = reshape(matmul(shares, this.codebook), features.shape);
    const quantized = markRows(maskFeatures(mixed, mask), finite);
    const error = square(sub(rows, toRows(quantized, this.codebookDim, "quantize")));
    const divergence = reshape(uniformDivergence(logits), [...positions, 1]);
    const images = imageCount(positions, mask);
    const losses = {
      divergence: div(sum(maskFeatures(divergence, mask)), images),
      distance: div(sum(mul(error, precisions)), images),
    };
    return {
      ...chosen,
      quantized,
      // Every rank has the same number of images, unless each feature is an image.
      losses: weighLosses(losses, positions.length > 1 ? undefined : mask, replicas),
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

  /** (D_x/2)·ln(squared error per image). */
  override reconstructionLoss(mse: Tensor, { imageSize }: ImageStatistics): Tensor {
    return mul(log(mul(mse, imageSize)), imageSize / 2);
  }

  /** The result in evaluation.
   * @param all int32: the code of every position
   */
  #chosen(all: Tensor, { finite, present }: SortedFeatures): Quantized {
    const indices = maskIndices(all, present);
    return {
      quantized: markRows(this.lookup(indices), finite),
      indices,
      losses: {},
      usage: segmentCount(indices, this.codebookSize),
      nonFinite: countNonFinite(finite),
    };
  }

  /** σ² of features `[N, D]`: a scalar (type I), `[N, 1]` (II and III) or `[N, D]` (IV). */
  #variances(rows: Tensor, { present }: SortedFeatures, mask: Tensor | undefined): Tensor {
    const common = exp(this.logVariance);
    if (this.toLogVariance === undefined) return add(common, 1);
    if (this.#settings.variance !== "II") return add(exp(this.toLogVariance.forward(rows)), common);
    const perImage = sizeOf(present.shape.slice(1));
    const images = rows.shape[0] / perImage;
    const v = this.toLogVariance.forward(imageMeans(rows, images, present, mask === undefined));
    const everywhere = broadcast(reshape(v, [images, 1, 1]), [images, perImage, 1]);
    return add(exp(reshape(everywhere, [rows.shape[0], 1])), common);
  }

  /** −‖z − e_k‖²/2σ²: `[N, D]` → `[N, K]`. */
  #logits(rows: Tensor, precisions: Tensor): Tensor {
    if (this.#settings.variance !== "IV") {
      return mul(similarities(rows, this.codebook, "l2"), precisions);
    }
    const weighted = mul(rows, precisions);
    const products = mul(matmul(weighted, this.codebook, { transposeB: true }), 2);
    const codes = matmul(precisions, square(this.codebook), { transposeB: true });
    return sub(sub(products, sum(mul(weighted, rows), -1, { keepAxes: true })), codes);
  }
}

/** The mean feature of each image: `[N, D]` → `[images, D]`.
 * @param present int32 `[...]`: 0 excludes a position
 * @param whole whether there is no padding
 */
function imageMeans(rows: Tensor, images: number, present: Tensor, whole: boolean): Tensor {
  const [count, width] = rows.shape;
  const perImage = count / images;
  const usable = where(reshape(present, [count, 1]), rows, 0);
  const totals = sum(reshape(usable, [images, perImage, width]), 1);
  const each = cast(reshape(present, [images, perImage]), "float32");
  const counts = sum(each, 1, { keepAxes: true });
  const means = div(totals, maximum(counts, 1));
  return whole ? where(equal(counts, perImage), mul(totals, 1 / perImage), means) : means;
}

/** `sq` in the registry. */
export const sqMethod: QuantizerMethod<SQSettings> = {
  schema: z.strictObject({
    ...codebookSizes,
    variance: z.enum(["I", "II", "III", "IV"]).default("I")
      .describe(
        "one variance in total (I), or one per image (II), per position (III), per position and channel (IV)",
      ),
    initialVariance: z.number().positive().default(10).describe("the initial variance eˢ"),
    temperatureDecay: z.number().min(0).default(1e-5)
      .describe("r: the temperature of the relaxed sample decays as exp(−r·step)"),
  }),
  make: (device, settings, key) => new SQQuantizer(device, { ...settings, key }),
};
