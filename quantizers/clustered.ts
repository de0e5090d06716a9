/** The clustered codebook of CVQ-VAE (arXiv 2307.15139). */
import { z } from "zod";
import { assign, detach, straightThrough } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { add, exp, mul, sub } from "../core/functions/elementwise.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../core/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Counter } from "../nn/module.ts";
import { type Anchors, ClosestAnchors, PooledAnchors, ProbabilisticAnchors } from "./anchors.ts";
import { contrastiveLoss } from "./contrastive.ts";
import {
  type CodebookSettings,
  codebookSettings,
  distanceSetting,
  type QuantizerMethod,
} from "./method.ts";
import { type Assignment, type QuantizeContext, type Quantized, Quantizer } from "./quantizer.ts";
import { codebookLosses, nearestCodes, runningShare, uniformCodebook } from "./steps.ts";

/** How anchors are sampled. */
export type AnchorSampling = "closest" | "random" | "probrandom";

/** The settings of a clustered codebook; `quantizerDefaults("clustered")` gives the defaults. */
export interface ClusteredSettings extends CodebookSettings {
  /** How nearness is measured. The loss uses the unnormalised vectors either way. */
  readonly distance: Distance;
  /** How anchors are sampled. */
  readonly anchor: AnchorSampling;
  /** γ: the decay of the running usage. */
  readonly decay: number;
  /** ε: keeps α below 1. */
  readonly epsilon: number;
  /** Re-anchors at every training step, or on the first training batch only. */
  readonly online: boolean;
  /** Adds the contrastive loss in training. */
  readonly contrastive: boolean;
  /** Of the contrastive loss. */
  readonly temperature: number;
}

/** How a clustered codebook is made. */
export interface ClusteredOptions extends Partial<ClusteredSettings> {
  /** Of the initial codebook and pool. */
  readonly key: RandomKey;
}

/** Revives dead codes online: codes in use are left to the gradient, unused ones are moved onto anchors, features of
 * the batch.
 *
 * Source: arXiv 2307.15139, METHOD section 3. `update` runs after the loss and before the optimiser's step:
 *
 *     N_k ← γ·N_k + (1 − γ)·n_k/N
 *     α_k = exp(−N_k·K·10/(1 − γ) − ε)
 *     e_k ← (1 − α_k)·e_k + α_k·ẑ_k
 *
 * As in the reference implementation, the optimiser's moments of a moved code are not reset.
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
export class ClusteredQuantizer extends Quantizer {
  /** K. */
  readonly codebookSize: number;
  /** D. */
  readonly codebookDim: number;
  /** `[K, D]`, initially uniform in (−1/K, 1/K). */
  readonly codebook: Tensor;
  /** N_k, `[K]`: the running share of the features that each code serves; starts at 0. */
  readonly runningUsage: Tensor;
  /** How often codes were re-anchored: 0, or 1 from the first time on. */
  readonly anchored: Counter = new Counter();
  /** Chooses the anchors, with its pool if it has one. */
  readonly anchors: Anchors;
  readonly #settings: ClusteredSettings;

  /** Makes the codebook.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { key, ...options }: ClusteredOptions) {
    super();
    const settings = readSettings(
      clusteredMethod.schema,
      options,
      "make a clustered codebook",
    );
    const { codebookSize, codebookDim } = settings;
    this.#settings = settings;
    this.codebookSize = codebookSize;
    this.codebookDim = codebookDim;
    this.codebook = uniformCodebook(device, codebookSize, codebookDim, key);
    this.runningUsage = zeros(device, [codebookSize]);
    this.anchors = makeAnchors(device, settings, key);
  }

  /** Losses: `commitment`, `codebook`, and in training `contrastive` where asked for.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, { training }: QuantizeContext): Quantized {
    const { distance, commitmentWeight, contrastive, temperature } = this.#settings;
    const indices = nearestCodes(features, this.codebook, distance);
    const codes = this.lookup(indices);
    const losses = codebookLosses(features, codes, commitmentWeight);
    const rows = () => toRows(features, this.codebookDim, "quantize");
    return {
      quantized: straightThrough(features, codes),
      indices,
      losses: contrastive && training
        ? { ...losses, contrastive: contrastiveLoss(this.codebook, rows(), distance, temperature) }
        : losses,
      usage: segmentCount(indices, this.codebookSize),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    return gather(this.codebook, indices);
  }

  /** Moves unused codes onto anchors. */
  override update({ features, usage }: Assignment, { key }: QuantizeContext): void {
    const { decay, epsilon, online } = this.#settings;
    const { device } = features;
    using _scope = device.scope();
    const rows = toRows(detach(features), this.codebookDim, "update the codebook");
    const running = runningShare(this.runningUsage, usage, rows.shape[0], decay);
    assign(this.runningUsage, running);
    if (!online && this.anchored.value > 0) return;

    const codes = detach(this.codebook);
    const anchors = this.anchors.sample(rows, codes, partKey(key, 0));
    const slope = -this.codebookSize * 10 / (1 - decay);
    const alpha = reshape(exp(sub(mul(running, slope), epsilon)), [this.codebookSize, 1]);
    assign(this.codebook, add(codes, mul(alpha, sub(anchors, codes))));
    this.anchored.value = 1;
  }
}

function makeAnchors(
  device: Device,
  { anchor, distance, codebookSize, codebookDim }: ClusteredSettings,
  key: RandomKey,
): Anchors {
  switch (anchor) {
    case "closest":
      return new ClosestAnchors(distance);
    case "random":
      return new PooledAnchors(device, codebookSize, codebookDim, partKey(key, 1));
    case "probrandom":
      return new ProbabilisticAnchors(distance);
  }
}

/** `clustered` in the registry. */
export const clusteredMethod: QuantizerMethod<ClusteredSettings> = {
  schema: z.strictObject({
    ...codebookSettings,
    distance: distanceSetting("cos"),
    anchor: z.enum(["closest", "random", "probrandom"]).default("closest")
      .describe("how the features that dead codes are moved onto are sampled"),
    decay: z.number().min(0).lt(1).default(0.99).describe("γ: the decay of the running usage"),
    epsilon: z.number().min(0).default(1e-3).describe("ε: keeps α below 1"),
    online: z.boolean().default(true)
      .describe("re-anchors at every training step, or on the first only"),
    contrastive: z.boolean().default(false).describe("adds the contrastive loss"),
    temperature: z.number().positive().default(0.07).describe("of the contrastive loss"),
  }),
  make: (device, settings, key) => new ClusteredQuantizer(device, { ...settings, key }),
};
