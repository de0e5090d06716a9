/** The quantiser of VQ-WAE (arXiv 2302.05917). */
import * as z from "zod";
import { parameter, withoutGradients } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { div, maximum, mul, neg, sqrt, sub, where } from "../core/functions/elementwise.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { mean, softmax, sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import { SINGLE } from "../nn/replicas.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { CodebookQuantizer, type Matched } from "./codebook.ts";
import { similarities } from "./contrastive.ts";
import { uniformDivergence } from "./gumbel_softmax.ts";
import { isAny } from "./finite_features.ts";
import { featureCount, featureShares, gatherMask, imageCount } from "./masks.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";
import type { QuantizeContext } from "./quantizer.ts";
import { transportCost } from "./sinkhorn.ts";

/** The settings of a VQ-WAE quantiser; `quantizerDefaults("vq-wae")` gives the defaults. */
export interface VQWAESettings
  extends Pick<CodebookSettings, "codebookSize" | "codebookDim" | "gradient" | "initialization"> {
  /** β: of the transport between codes and features. */
  readonly transportWeight: number;
  /** λ: of the divergence of the codes' weights from uniform ones. */
  readonly klWeight: number;
  /** ε of the transport, in units of how much the costs of a batch depend on feature and code both. */
  readonly smoothing: number;
  /** Sinkhorn's passes a step. */
  readonly iterations: number;
}

/** How a VQ-WAE quantiser is made. */
export interface VQWAEOptions extends Partial<VQWAESettings> {
  /** Of the initial codebook. */
  readonly key: RandomKey;
}

/** Each feature becomes its nearest code; codes and encoder are drawn together by optimal transport between the
 * batch's features and all codes, weighted, so that every code has features to go to.
 *
 * Source: arXiv 2302.05917, the primal form:
 *
 *     π = softmax(w), w learned
 *     loss = Σ_positions β·W(Σ_k π_k δ_{e_k}, features) + λ·KL(π ‖ uniform)
 *
 * W is the entropic transport of `transportCost` at the squared distance, ε in units of the deviation of
 * −2·(z − z̄)·(e − ē), the part of the squared distance that depends on feature and code both. Differs: the positions of
 * an image share π and one transport, with all features of the batch, so that the quantiser need not know how many
 * positions there are; the sum over positions is that transport times their number.
 *
 * In training the N × K matrix of costs is a part of the method, in memory several times over, and a feature costs
 * O(K·(D + iterations)). In evaluation only the nearest code is looked up. Of several ranks each gathers the features of
 * all and solves the whole transport, which therefore gets no faster with their number.
 *
 * ```ts
 * import { openDevice, randomKey, VQWAEQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new VQWAEQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { losses } = quantizer.quantize(features, { training: true, key });
 * assert.deepEqual(Object.keys(losses), ["transport", "divergence"]);
 * ```
 */
export class VQWAEQuantizer extends CodebookQuantizer<CodebookSettings & VQWAESettings> {
  /** w, `[K]`: the logarithms of the codes' weights but for a constant; initially 0. */
  readonly logWeights: Tensor;

  /** Makes the codebook and its weights.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: VQWAEOptions) {
    const settings = readSettings(vqwaeMethod.schema, options, "make a VQ-WAE quantizer");
    super(device, { ...UNUSED, ...settings }, key);
    this.logWeights = parameter(zeros(device, [settings.codebookSize]));
  }

  /** In training, `transport` and `divergence`. */
  protected override losses(
    { features, codes }: Matched,
    { training, mask: own, replicas = SINGLE }: QuantizeContext,
  ): Record<string, Tensor> {
    if (!training) return {};
    const { codebookSize, transportWeight, klWeight, smoothing, iterations } = this.settings;
    const rows = replicas.gather(toRows(features, this.codebookDim, "quantize"));
    const mask = gatherMask(own, replicas);
    const costs = neg(similarities(rows, codes, "l2"));
    const [rowShares, columnShares] = [presentShares(rows, mask), softmax(this.logWeights)];
    const epsilon = withoutGradients(() => {
      const spread = interaction([rows, rowShares], [codes, columnShares]);
      // Only one feature or code spreads nothing, and costs nothing where both lie in one place.
      return mul(maximum(maximum(spread, mul(mean(costs), 1e-3)), LEAST_SPREAD), smoothing);
    });
    const transport = transportCost(costs, { rowShares, columnShares, epsilon, iterations });
    const divergence = uniformDivergence(reshape(this.logWeights, [1, codebookSize]));
    const [first = 1, ...rest] = features.shape.slice(0, -1);
    const images = imageCount([first * replicas.count, ...rest], mask);
    const count = featureCount(rows.shape[0], mask);
    const overPositions = (term: Tensor) => div(mul(term, count), images);
    return {
      transport: mul(overPositions(transport), transportWeight),
      divergence: mul(overPositions(reshape(divergence, [])), klWeight),
    };
  }
}

/** Least unit of ε: where all costs are equal, any will do. */
const LEAST_SPREAD = 1e-12;

/** The features' shares of the mass; equal ones for the padding where there is no feature, since a transport needs mass. */
function presentShares(rows: Tensor, mask: Tensor | undefined): Tensor {
  const shares = featureShares(rows, mask);
  return mask === undefined ? shares : where(isAny(mask), shares, 1 / rows.shape[0]);
}

/** How much the squared distances of features to codes depend on both: the deviation of −2·(z − z̄)·(e − ē), which is
 * 2·√(Σ Cov z ∘ Cov e). What they depend on one alone, however large, a transport does not see.
 * @param features float32 `[N, D]` and their shares of the mean, `[N]`
 * @param codes float32 `[K, D]` and their shares, `[K]`
 * @returns a scalar
 */
function interaction(...sides: readonly [rows: Tensor, shares: Tensor][]): Tensor {
  const [left, right] = sides.map(([rows, shares]) => {
    const centered = sub(rows, matmul(reshape(shares, [1, shares.size]), rows));
    const weighted = mul(centered, reshape(shares, [shares.size, 1]));
    return matmul(weighted, centered, { transposeA: true });
  });
  return mul(sqrt(maximum(sum(mul(left, right)), 0)), 2);
}

/** What the method does not take of the settings of codebooks. */
const UNUSED = {
  commitmentWeight: 0,
  distance: "l2",
  unitLength: false,
  orthogonality: 0,
  replaceBelow: 0,
  countDecay: 0,
  frozen: false,
} as const;

const { codebookSize, codebookDim, gradient, initialization } = codebookSettings("l2");

/** `vq-wae` in the registry. */
export const vqwaeMethod: QuantizerMethod<VQWAESettings> = {
  schema: z.strictObject({
    codebookSize,
    codebookDim,
    gradient,
    initialization,
    transportWeight: z.number().min(0).default(1e-3)
      .describe("β: of the transport between codes and features"),
    klWeight: z.number().min(0).default(1)
      .describe("λ: the weight of the divergence from the uniform distribution"),
    smoothing: z.number().positive().default(0.1)
      .describe("ε of the transport, in units of the spread of its costs"),
    iterations: z.int().min(1).default(10).describe("Sinkhorn's passes a step"),
  }),
  make: (device, settings, key) => new VQWAEQuantizer(device, { ...settings, key }),
};
