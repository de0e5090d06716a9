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
  /** β: the weight of the transport loss between codes and features. */
  readonly transportWeight: number;
  /** λ: the weight of the KL divergence of the codes' weights from the uniform distribution. */
  readonly klWeight: number;
  /** ε of the transport, relative to the part of the costs that depends on feature and code jointly. */
  readonly smoothing: number;
  /** Sinkhorn iterations per step. */
  readonly iterations: number;
}

/** Options of the constructor. */
export interface VQWAEOptions extends Partial<VQWAESettings> {
  /** Key for the initial codebook. */
  readonly key: RandomKey;
}

/** Replaces each feature by its nearest code. The loss is the cost of optimal transport between the features of the
 * batch and all codes, which are weighted. It pulls every code towards some features.
 *
 * Source: arXiv 2302.05917, the primal form:
 *
 *     π = softmax(w), w learned
 *     loss = Σ_positions β·W(Σ_k π_k δ_{e_k}, features) + λ·KL(π ‖ uniform)
 *
 * W is the entropic transport of `transportCost` with the squared distance as cost. ε is relative to the standard
 * deviation of −2·(z − z̄)·(e − ē), the part of the squared distance that depends on feature and code jointly. Unlike
 * in the paper, the positions of an image share π and one transport with all features of the batch, so that the
 * quantiser need not know how many positions there are. The sum over positions is that transport times their number.
 *
 * In training the method needs the N × K matrix of costs and holds it in memory several times. The cost per feature is
 * O(K·(D + iterations)). Evaluation only looks up the nearest code. With several ranks, each gathers the features of
 * all and solves the whole transport, so more ranks do not make it faster.
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
  /** w, `[K]`: the logarithms of the codes' weights, up to a constant; initially 0. */
  readonly logWeights: Tensor;

  /** Makes the codebook and its weights.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: VQWAEOptions) {
    const settings = readSettings(vqwaeMethod.schema, options, "make a VQ-WAE quantizer");
    super(device, { ...UNUSED, ...settings }, key);
    this.logWeights = parameter(zeros(device, [settings.codebookSize]));
  }

  /** Losses, in training: `transport` and `divergence`. */
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
      // With a single feature or code the spread is 0, and the costs are 0 if both coincide.
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

/** The smallest unit of ε. If all costs are equal, any unit works. */
const LEAST_SPREAD = 1e-12;

/** The features' shares of the mass. If there is no feature, all positions get equal shares, since a transport needs
 * mass. */
function presentShares(rows: Tensor, mask: Tensor | undefined): Tensor {
  const shares = featureShares(rows, mask);
  return mask === undefined ? shares : where(isAny(mask), shares, 1 / rows.shape[0]);
}

/** How much the squared distances depend on feature and code jointly: the standard deviation of −2·(z − z̄)·(e − ē),
 * which is 2·√(Σ Cov z ∘ Cov e). Parts that depend on only one of them do not change the transport plan, however large
 * they are.
 * @param features float32 `[N, D]`, and their weights in the mean, `[N]`
 * @param codes float32 `[K, D]`, and their weights, `[K]`
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

/** The codebook settings that this method does not have. */
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
      .describe("β: the weight of the transport loss between codes and features"),
    klWeight: z.number().min(0).default(1)
      .describe("λ: the weight of the KL divergence from the uniform distribution"),
    smoothing: z.number().positive().default(0.1)
      .describe("ε of the transport, relative to the spread of its costs"),
    iterations: z.int().min(1).default(10).describe("Sinkhorn iterations per step"),
  }),
  make: (device, settings, key) => new VQWAEQuantizer(device, { ...settings, key }),
};
