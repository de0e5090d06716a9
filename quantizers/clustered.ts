/** The clustered codebook of CVQ-VAE (arXiv 2307.15139). */
import * as z from "zod";
import { assign, detach } from "../core/execute.ts";
import { toRows } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { SINGLE } from "../nn/replicas.ts";
import { ANCHOR_SAMPLINGS } from "./anchors.ts";
import { type CodebookBatch, CodebookQuantizer, type Matched } from "./codebook.ts";
import { contrastiveLoss } from "./contrastive.ts";
import { type CodebookSettings, codebookSettings, type QuantizerMethod } from "./method.ts";
import type { Move, QuantizeContext } from "./quantizer.ts";
import { lerpRows, Reanchoring, type ReanchoringOptions } from "./reanchoring.ts";

/** The settings of a clustered codebook; `quantizerDefaults("clustered")` gives the defaults. */
export interface ClusteredSettings extends CodebookSettings, ReanchoringOptions {
  /** Whether training adds the contrastive loss. */
  readonly contrastive: boolean;
  /** Temperature of the contrastive loss. */
  readonly temperature: number;
  /** Whether the optimiser's moments of a moved code are scaled by 1 − α. */
  readonly resetMoments: boolean;
}

/** Options of the constructor. */
export interface ClusteredOptions extends Partial<ClusteredSettings> {
  /** Key for the initial codebook and pool. */
  readonly key: RandomKey;
}

/** Revives dead codes during training: codes in use learn by gradient, unused ones move to anchors, which are features
 * of the batch.
 *
 * Source: arXiv 2307.15139. `update` runs after the loss and before the optimiser step:
 *
 *     N_k ← γ·N_k + (1 − γ)·n_k/N
 *     α_k = exp(−N_k·K·10/(1 − γ) − ε)
 *     e_k ← (1 − α_k)·e_k + α_k·ẑ_k
 *
 * As in the reference implementation, a moved code keeps its optimiser moments, unless `resetMoments` is set.
 *
 * ```ts
 * import { ClusteredQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new ClusteredQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const context = { training: true, key };
 * const assigned = quantizer.quantize(features, context);
 * quantizer.update({ features, ...assigned }, context);
 * console.log(await quantizer.codebook.floats());
 * ```
 */
export class ClusteredQuantizer extends CodebookQuantizer<ClusteredSettings> {
  /** Decides which codes move, and where to. */
  readonly reanchoring: Reanchoring;

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: ClusteredOptions) {
    super(device, readSettings(clusteredMethod.schema, options, "make a clustered codebook"), key);
    this.reanchoring = new Reanchoring(device, this.settings, this.settings, partKey(key, 1));
  }

  /** Adds `contrastive` in training if the setting asks for it.
   * @throws {TypeError} the contrastive loss is on and there is a mask
   */
  protected override losses(matched: Matched, context: QuantizeContext): Record<string, Tensor> {
    const { distance, contrastive, temperature } = this.settings;
    const losses = super.losses(matched, context);
    if (!contrastive || !context.training) return losses;
    if (context.mask !== undefined) {
      throw new TypeError("Cannot take the contrastive loss: no feature may be masked, got a mask");
    }
    const own = toRows(matched.features, this.codebookDim, "take the contrastive loss");
    const rows = (context.replicas ?? SINGLE).gather(detach(own));
    return { ...losses, contrastive: contrastiveLoss(matched.codes, rows, distance, temperature) };
  }

  /** Moves unused codes to anchors. */
  protected override learn(batch: CodebookBatch): readonly Move[] {
    const { codebook } = this;
    const update = this.reanchoring.find(batch, this.codes());
    if (update === undefined) return [];
    assign(codebook, lerpRows(codebook, update.anchors, update.share));
    return [{ codes: codebook, share: update.share, forgets: this.settings.resetMoments }];
  }
}

/** `clustered` in the registry. */
export const clusteredMethod: QuantizerMethod<ClusteredSettings> = {
  schema: z.strictObject({
    ...codebookSettings("cos"),
    anchor: z.enum(ANCHOR_SAMPLINGS).default("closest")
      .describe("how to sample the features that dead codes are moved to"),
    decay: z.number().min(0).lt(1).default(0.99).describe(
      "γ: the decay of the average usage of each code",
    ),
    epsilon: z.number().min(0).default(1e-3).describe("ε: keeps α below 1"),
    online: z.boolean().default(true)
      .describe("whether to re-anchor at every training step (true) or only at the first (false)"),
    contrastive: z.boolean().default(false).describe("whether to add the contrastive loss"),
    temperature: z.number().positive().default(0.07).describe(
      "temperature of the contrastive loss",
    ),
    resetMoments: z.boolean().default(false)
      .describe(
        "whether to reset the optimiser's moments of a code in proportion to how far it moves",
      ),
  }),
  make: (device, settings, key) => new ClusteredQuantizer(device, { ...settings, key }),
};
