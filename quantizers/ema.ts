/** The codebook learned by exponential moving averages (EMA; arXiv 1711.00937, appendix A.1). */
import * as z from "zod";
import { assign, detach } from "../core/execute.ts";
import { ones } from "../core/functions/creation.ts";
import { add, cast, div, mul, where } from "../core/functions/elementwise.ts";
import { segmentSum } from "../core/functions/indexing.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { type CodebookBatch, CodebookQuantizer, type Matched } from "./codebook.ts";
import { assignIf } from "./finite_features.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";
import type { Move, QuantizeContext } from "./quantizer.ts";
import { commitmentLoss } from "./codebook_losses.ts";

/** The settings of an EMA codebook; `quantizerDefaults("ema")` gives the defaults. Its codes do not learn by gradient,
 * so it has no `orthogonality`. */
export interface EmaSettings extends Omit<CodebookSettings, "orthogonality"> {
  /** γ: the decay of the exponential moving averages. */
  readonly decay: number;
  /** ε: the count that Laplace smoothing adds to each code. */
  readonly epsilon: number;
}

/** Options of the constructor. */
export interface EmaOptions extends Partial<EmaSettings> {
  /** Key for the initial codebook. */
  readonly key: RandomKey;
}

/** Each code is the exponential moving average of the features assigned to it. The codes do not learn by gradient: there
 * is a commitment loss, but no codebook loss.
 *
 * Source: arXiv 1711.00937, appendix A.1, with the Laplace smoothing of its implementation (arXiv 1906.00446):
 *
 *     N_k ← γ·N_k + (1 − γ)·n_k
 *     m_k ← γ·m_k + (1 − γ)·Σ z, over the features assigned to k
 *     e_k = m_k / N̂_k,  N̂_k = (N_k + ε)/(ΣN + K·ε)·ΣN
 *
 * N starts at 1 and m at the initial codes; a replaced code starts again the same way. After about a thousand steps
 * without a feature, a code's N_k comes near ε, and the smoothing pulls the code towards zero.
 *
 * ```ts
 * import { EmaQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new EmaQuantizer(device, { codebookSize: 8, codebookDim: 2, decay: 0.5, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const context = { training: true, key };
 * for (let step = 0; step < 9; step++) {
 *   quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
 * }
 * console.log(await quantizer.quantize(features, context).quantized.floats()); // 2, 3, 2, 3
 * ```
 */
export class EmaQuantizer extends CodebookQuantizer<EmaSettings & CodebookSettings> {
  /** N_k, `[K]`: the average number of features per batch assigned to each code. */
  readonly clusterSizes: Tensor;
  /** m_k, `[K, D]`: the sums of those features. */
  readonly clusterSums: Tensor;

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: EmaOptions) {
    const settings = readSettings(emaMethod.schema, options, "make an EMA codebook");
    super(device, { ...settings, orthogonality: 0 }, key);
    this.codebook.requiresGradient = false;
    this.clusterSizes = ones(device, [this.codebookSize]);
    this.clusterSums = mul(this.codebook, 1);
  }

  /** Losses: `commitment`. */
  protected override losses(
    { features, chosen }: Matched,
    { mask }: QuantizeContext,
  ): Record<string, Tensor> {
    const { commitmentWeight } = this.settings;
    return { commitment: commitmentLoss(features, chosen, commitmentWeight, mask) };
  }

  /** Updates the averages with the batch. */
  protected override learn({ rows, indices, usage, any }: CodebookBatch): readonly Move[] {
    const { decay, epsilon } = this.settings;
    const { codebookSize, clusterSizes, clusterSums } = this;
    const average = (past: Tensor, now: Tensor) => add(mul(past, decay), mul(now, 1 - decay));
    assignIf(any, clusterSizes, average(clusterSizes, cast(usage, "float32")));
    assignIf(any, clusterSums, average(clusterSums, segmentSum(rows, indices, codebookSize)));
    const total = sum(clusterSizes);
    const share = div(add(clusterSizes, epsilon), add(total, codebookSize * epsilon));
    const smoothed = mul(share, total);
    assignIf(any, this.codebook, div(clusterSums, reshape(smoothed, [codebookSize, 1])));
    return [];
  }

  /** Restarts the averages of replaced codes. */
  protected override forget(replaced: Tensor): void {
    const { codebook, clusterSizes, clusterSums } = this;
    const column = reshape(replaced, [this.codebookSize, 1]);
    assign(clusterSizes, where(replaced, 1, detach(clusterSizes)));
    assign(clusterSums, where(column, codebook, detach(clusterSums)));
  }
}

const { orthogonality: _, ...settings } = codebookSettings("l2");

/** `ema` in the registry. */
export const emaMethod: QuantizerMethod<EmaSettings> = {
  schema: z.strictObject({
    ...settings,
    decay: z.number().min(0).lt(1).default(0.99).describe(
      "γ: the decay of the exponential moving averages",
    ),
    epsilon: z.number().positive().default(1e-5)
      .describe("ε: the count that Laplace smoothing adds to each code"),
  }),
  make: (device, settings, key) => new EmaQuantizer(device, { ...settings, key }),
};
