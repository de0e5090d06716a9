/** The clustered codebook with codes learned by exponential moving averages (EMA). */
import * as z from "zod";
import { assign } from "../core/execute.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { ANCHOR_SAMPLINGS, type AnchorSampling } from "./anchors.ts";
import type { CodebookBatch } from "./codebook.ts";
import { emaMethod, EmaQuantizer, type EmaSettings } from "./ema.ts";
import { INITIALIZATIONS, type QuantizerMethod } from "./method.ts";
import type { Move } from "./quantizer.ts";
import { lerpRows, Reanchoring } from "./reanchoring.ts";

/** The settings of a clustered EMA codebook; `quantizerDefaults("clustered-ema")` gives the defaults. */
export interface ClusteredEmaSettings extends EmaSettings {
  /** How anchors are sampled. */
  readonly anchor: AnchorSampling;
}

/** Options of the constructor. */
export interface ClusteredEmaOptions extends Partial<ClusteredEmaSettings> {
  /** Key for the initial codebook and pool. */
  readonly key: RandomKey;
}

/** ε of the re-anchoring, as in the clustered codebook (arXiv 2307.15139). */
const REANCHORING_EPSILON = 1e-3;

/** Codes in use are exponential moving averages of the features assigned to them (`EmaQuantizer`). Dead codes move to
 * anchors at every step, by the rule of the clustered codebook (`Reanchoring`). Their averages restart in proportion to
 * how far they move:
 *
 *     e_k ← (1 − α_k)·e_k + α_k·ẑ_k,  N_k ← (1 − α_k)·N_k + α_k,  m_k ← (1 − α_k)·m_k + α_k·e_k
 *
 * A code that learns by gradient moves by about the learning rate per step in each dimension. While the encoder learns,
 * features move faster than that, so such codes lag behind, and few of them are nearest to any feature. EMA codes do
 * not lag.
 *
 * Source: arXiv 2307.15139 with the codebook of arXiv 1711.00937, appendix A.1; the combination is specific to this
 * toolkit.
 *
 * ```ts
 * import { ClusteredEmaQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new ClusteredEmaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const context = { training: true, key };
 * quantizer.begin(features, context); // Codes start at k-means centres of the first batch.
 * const [move] = quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
 * console.log(await move.share.floats()); // 0 for the codes that were chosen, else near 1
 * ```
 */
export class ClusteredEmaQuantizer extends EmaQuantizer {
  /** Decides which codes move, and where to. */
  readonly reanchoring: Reanchoring;

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: ClusteredEmaOptions) {
    const action = "make a clustered EMA codebook";
    const { anchor, ...averages } = readSettings(clusteredEmaMethod.schema, options, action);
    super(device, { ...averages, key });
    const rule = { anchor, decay: averages.decay, epsilon: REANCHORING_EPSILON, online: true };
    this.reanchoring = new Reanchoring(device, this.settings, rule, partKey(key, 1));
  }

  /** Updates the averages with the batch, then moves unused codes to anchors. */
  protected override learn(batch: CodebookBatch): readonly Move[] {
    super.learn(batch);
    const update = this.reanchoring.find(batch, this.codes());
    if (update === undefined) return [];
    const { codebook, clusterSizes, clusterSums } = this;
    const { share, anchors } = update;
    assign(codebook, lerpRows(codebook, anchors, share));
    assign(clusterSizes, lerpRows(clusterSizes, 1, share));
    assign(clusterSums, lerpRows(clusterSums, codebook, share));
    return [{ codes: codebook, share, forgets: true }];
  }
}

const { shape } = emaMethod.schema;

/** `clustered-ema` in the registry. The registry's version normalises features over the batch by default
 * (`NormalizedQuantizer`). */
export const clusteredEmaMethod: QuantizerMethod<ClusteredEmaSettings> = {
  schema: z.strictObject({
    ...shape,
    initialization: z.enum(INITIALIZATIONS).default("kmeans")
      .describe("initial codes: uniform near 0, or k-means centres of the first batch"),
    decay: z.number().min(0).lt(1).default(0.95)
      .describe("γ: the decay of the exponential moving averages of the codes and of their usage"),
    anchor: z.enum(ANCHOR_SAMPLINGS).default("closest")
      .describe("how to sample the features that dead codes are moved to"),
  }),
  make: (device, settings, key) => new ClusteredEmaQuantizer(device, { ...settings, key }),
};
