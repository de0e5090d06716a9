/** Lookup-free quantisation (arXiv 2310.05737). */
import * as z from "zod";
import { straightThrough } from "../core/execute.ts";
import {
  abs,
  add,
  cast,
  exp,
  greater,
  greaterEqual,
  log,
  maximum,
  mul,
  neg,
  sigmoid,
  sub,
} from "../core/functions/elementwise.ts";
import { segmentCount } from "../core/functions/indexing.ts";
import { reshape, slice, toRows } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { softmax, sum } from "../core/functions/reductions.ts";
import { readSettings } from "../settings/settings.ts";
import type { Tensor } from "../core/tensor.ts";
import { SINGLE } from "../nn/replicas.ts";
import { digitsToIndices, indicesToDigits } from "./mixed_radix.ts";
import { countNonFinite, lossesOfAny, markRows, sortFeatures } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import { featureShares, globalMean, maskFeatures, maskIndices } from "./masks.ts";
import type { QuantizerMethod } from "./method.ts";
import { type QuantizeContext, type Quantized, Quantizer } from "./quantizer.ts";
import { commitmentLoss } from "./codebook_losses.ts";

/** The settings of a lookup-free quantiser; `quantizerDefaults("lfq")` gives the defaults. */
export interface LFQSettings {
  /** D: the number of bits (signs) of a code; K = 2^D. */
  readonly bits: number;
  /** β: the weight of the commitment loss. */
  readonly commitmentWeight: number;
  /** The weight of both entropy terms. */
  readonly entropyWeight: number;
  /** γ: the weight of the batch's entropy relative to that of the samples. */
  readonly diversityWeight: number;
  /** τ: the temperature of the softmax over codes in the entropy terms. */
  readonly entropyTemperature: number;
}

/** Quantises each channel to its sign. The codes are the corners of a hypercube and are not learned. Entropy terms in
 * the loss encourage the use of all codes.
 *
 * Source: arXiv 2310.05737, section 3.1. With q(c | z) = softmax over the corners c ∈ {−1, 1}ᴰ of −‖z − c‖²/τ:
 *
 *     ẑ = sign(z), straight-through    index = Σᵢ 2ⁱ·[zᵢ > 0]
 *     loss = β·mean(‖sg(ẑ) − z‖²) + w·(mean H(q(· | z)) + γ·(ln K − H(mean q(· | z))))
 *
 * The constant ln K keeps the loss from being negative. The softmax factorises over channels, so the entropy of the
 * samples is a sum over channels, O(N·D). The entropy of the batch is exact too, without an N × K matrix: the mean of q
 * over the batch is the product of two N × √K matrices, one for each half of the channels. This takes O(N·K) time and
 * O(N·√K + K) memory, in training only.
 *
 * ```ts
 * import { LFQQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const quantizer = new LFQQuantizer({ bits: 3 });
 * const features = device.tensor([0.2, -3, 1], [1, 3]);
 * const context = { training: true, key: randomKey(1, "quantizer") };
 * const { quantized, indices } = quantizer.quantize(features, context);
 * assert.deepEqual([...await quantized.floats()], [1, -1, 1]);
 * assert.equal(await indices.item(), 0b101);
 * ```
 */
export class LFQQuantizer extends Quantizer {
  /** K = 2^D. */
  readonly codebookSize: number;
  /** D, the bits. */
  readonly codebookDim: number;
  readonly #settings: LFQSettings;
  readonly #levels: readonly number[];

  /** Stores only the settings: the codes are fixed.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(options: Partial<LFQSettings> = {}) {
    super();
    this.#settings = readSettings(lfqMethod.schema, options, "make a lookup-free quantizer");
    this.codebookDim = this.#settings.bits;
    this.codebookSize = 2 ** this.codebookDim;
    this.#levels = Array(this.codebookDim).fill(2);
  }

  /** Losses: `commitment`, and in training `entropy` and `diversity`.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const { training, mask, replicas } = context;
    const { values, finite, present } = sortFeatures(features, mask);
    const rows = toRows(values, this.codebookDim, "quantize");
    const digits = cast(greater(rows, 0), "float32");
    const all = reshape(digitsToIndices(digits, this.#levels), features.shape.slice(0, -1));
    const indices = maskIndices(all, present);
    const codes = markRows(this.lookup(indices), finite);
    const commitment = commitmentLoss(values, codes, this.#settings.commitmentWeight, mask);
    const losses = training ? { commitment, ...this.#entropies(rows, context) } : { commitment };
    return {
      quantized: straightThrough(values, codes),
      indices,
      losses: lossesOfAny(losses, mask, replicas),
      usage: segmentCount(indices, this.codebookSize),
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`; zeros for −1. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    const codes = corners(indicesToDigits(indices, this.#levels));
    return maskFeatures(codes, greaterEqual(indices, 0));
  }

  #entropies(
    rows: Tensor,
    { mask, replicas = SINGLE }: QuantizeContext,
  ): { entropy: Tensor; diversity: Tensor } {
    const { entropyWeight, diversityWeight, entropyTemperature } = this.#settings;
    const shares = featureShares(rows, mask);
    const samples = sum(mul(sum(bitEntropy(mul(rows, 4 / entropyTemperature)), -1), shares));
    const own = meanCornerShares(rows, shares, entropyTemperature);
    const used = entropyOf(globalMean(own, mask, replicas));
    return {
      entropy: mul(samples, entropyWeight),
      diversity: mul(sub(this.codebookDim * Math.LN2, used), entropyWeight * diversityWeight),
    };
  }
}

/** 0 → −1, 1 → 1. */
function corners(digits: Tensor): Tensor {
  return sub(mul(digits, 2), 1);
}

/** The entropy of a bit that is 1 with probability σ(x), in nats: ln(1 + e^−|x|) + |x|·σ(−|x|). */
function bitEntropy(x: Tensor): Tensor {
  const size = abs(x);
  return add(log(add(exp(neg(size)), 1)), mul(size, sigmoid(neg(size))));
}

/** −Σ p ln p. */
function entropyOf(shares: Tensor): Tensor {
  return neg(sum(mul(shares, log(maximum(shares, 1e-30)))));
}

/** The mean over features `[N, D]` of softmax over the corners c of −‖z − c‖²/τ = 2·z·c/τ + a constant: `[√K, √K]`. The
 * corner at row a and column b has the bits of a, then those of b.
 * @param weights `[N]`: the features' shares of the mean
 */
function meanCornerShares(features: Tensor, weights: Tensor, temperature: number): Tensor {
  const [count, width] = features.shape;
  const middle = Math.ceil(width / 2);
  const shares = (first: number, bits: number) => {
    const indices = Int32Array.from({ length: 2 ** bits }, (_, index) => index);
    const all = features.device.tensor(indices, [indices.length]);
    const own = corners(indicesToDigits(all, Array(bits).fill(2)));
    const part = slice(features, [0, first], [count, bits]);
    return softmax(mul(matmul(part, own, { transposeB: true }), 2 / temperature));
  };
  const weighted = mul(shares(0, middle), reshape(weights, [count, 1]));
  if (width === 1) return sum(weighted, 0);
  return matmul(weighted, shares(middle, width - middle), { transposeA: true });
}

/** `lfq` in the registry. */
export const lfqMethod: QuantizerMethod<LFQSettings> = {
  schema: z.strictObject({
    bits: z.int().min(1).max(20).default(9)
      .describe("D: the number of bits (signs) of a code; there are 2^D codes"),
    commitmentWeight: z.number().min(0).default(0.25)
      .describe("β: the weight of the commitment loss"),
    entropyWeight: z.number().min(0).default(0.1).describe("the weight of both entropy terms"),
    diversityWeight: z.number().min(0).default(1)
      .describe("γ: the weight of the batch's entropy relative to that of the samples"),
    entropyTemperature: z.number().positive().default(1)
      .describe("τ: the temperature of the softmax over codes in the entropy terms"),
  }),
  make: (_device, settings) => new LFQQuantizer(settings),
};
