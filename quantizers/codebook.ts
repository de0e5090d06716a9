/** The base class of the methods that keep a codebook. */
import { assign, detach, withoutGradients } from "../core/execute.ts";
import { ones } from "../core/functions/creation.ts";
import { cast, mul, where } from "../core/functions/elementwise.ts";
import { gather, segmentCount } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Counter } from "../nn/module.ts";
import { SINGLE } from "../nn/replicas.ts";
import { passGradient } from "./estimators.ts";
import {
  countNonFinite,
  isAny,
  lossesOfAny,
  markRows,
  type SortedFeatures,
  sortFeatures,
} from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import { kMeans } from "./kmeans.ts";
import { gatherMask, maskIndices } from "./masks.ts";
import type { CodebookSettings } from "./method.ts";
import { orthogonalityLoss } from "./orthogonality.ts";
import {
  type Assignment,
  type Move,
  type QuantizeContext,
  type Quantized,
  Quantizer,
} from "./quantizer.ts";
import { DeadCodes, randomRows } from "./replacement.ts";
import {
  codebookLosses,
  commitmentLoss,
  nearestCodes,
  normalizeRows,
  uniformCodebook,
} from "./codebook_losses.ts";

/** Features and the codes chosen for them. */
export interface Matched {
  /** float32 `[..., D]`: the features in the form they were looked up; zeros at the padding. */
  readonly features: Tensor;
  /** float32 `[K, D]`: all codes. */
  readonly codes: Tensor;
  /** float32 `[..., D]`: each feature's code, zeros at the padding, NaN where a feature is not finite. */
  readonly chosen: Tensor;
}

/** The batch from which a codebook learns without gradients. It holds the features of all ranks, so that every rank
 * learns the same. */
export interface CodebookBatch {
  /** float32 `[N, D]`: the features in the form they were looked up; zeros at the padding, NaN where one is not
   * finite. */
  readonly rows: Tensor;
  /** int32 `[N]`: −1 at the padding and where a feature is not finite. */
  readonly indices: Tensor;
  /** int32 `[K]`: how often each code was chosen. */
  readonly usage: Tensor;
  /** int32 `[N]`: 0 at the padding; undefined if there is no padding. */
  readonly mask?: Tensor;
  /** int32 `[1]`: whether any feature is finite; if none is, nothing is learned. */
  readonly any: Tensor;
  /** Key for random choices. */
  readonly key: RandomKey;
}

/** Replaces each feature by its nearest code. By default the codes learn from the gradient of the codebook loss.
 * Methods override `losses` or `learn` to learn differently, and `codes` to compute the codes from other parameters.
 *
 * This class implements what every such method has as settings (`CodebookSettings`): the gradient estimator, k-means
 * initialisation, codes of unit length, the orthogonality loss, replacement of dead codes and freezing. It also handles
 * padding.
 */
export abstract class CodebookQuantizer<Settings extends CodebookSettings = CodebookSettings>
  extends Quantizer {
  /** K. */
  readonly codebookSize: number;
  /** D. */
  readonly codebookDim: number;
  /** `[K, D]`, initially uniform in (−1/K, 1/K); with `unitLength`, scaled to length 1. */
  readonly codebook: Tensor;
  /** With k-means initialisation: 0 before the first training batch, then 1. */
  readonly initialized: Counter | undefined;
  /** Finds dead codes, if `replaceBelow` is set. */
  readonly deadCodes: DeadCodes | undefined;
  /** The method's settings. */
  protected readonly settings: Settings;

  /** Makes the codebook.
   * @param settings complete and already checked
   * @param key for the initial codebook
   */
  constructor(device: Device, settings: Settings, key: RandomKey) {
    super();
    const { codebookSize, codebookDim, initialization, unitLength, replaceBelow, frozen } =
      settings;
    this.settings = settings;
    this.codebookSize = codebookSize;
    this.codebookDim = codebookDim;
    this.codebook = uniformCodebook(device, codebookSize, codebookDim, key);
    this.codebook.requiresGradient = !frozen;
    this.initialized = initialization === "uniform" ? undefined : new Counter();
    this.deadCodes = replaceBelow > 0 ? new DeadCodes(device, codebookSize, settings) : undefined;
    if (unitLength) {
      using _scope = device.scope();
      assign(this.codebook, withoutGradients(() => normalizeRows(this.codebook)));
    }
  }

  /** Whether k-means initialisation is still to come. */
  override get awaitsBatch(): boolean {
    return this.initialized?.value === 0;
  }

  /** With k-means initialisation, sets the codes to k-means centres of the first training batch. If no feature of the
   * batch is finite, the codes stay uniform.
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!context.training || this.initialized === undefined || !this.awaitsBatch) return;
    const { codebookSize: count, codebookDim } = this;
    const { mask, replicas = SINGLE } = context;
    withoutGradients(() => {
      using _scope = features.device.scope();
      const { values, finite, present } = this.#sort(features, context);
      const own = toRows(markRows(values, finite), codebookDim, "quantize");
      const means = kMeans(replicas.gather(own), {
        count,
        distance: this.settings.distance,
        spread: this.settings.initialization === "kmeans++",
        key: partKey(context.key, 2),
        mask: gatherMask(mask, replicas),
      });
      const every = mul(ones(features.device, [count], "int32"), isAny(present, replicas));
      this.replace(every, means);
    });
    this.initialized.value = 1;
  }

  /** Losses: `commitment`; `codebook` if the codes learn by gradient; `orthogonality` if its weight is not 0.
   * @throws {TypeError} the last axis is not D, or the mask does not have one value per feature
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const { gradient, distance } = this.settings;
    const { values, finite, present } = this.#sort(features, context);
    const codes = this.codes();
    const indices = maskIndices(nearestCodes(values, codes, distance), present);
    const chosen = markRows(gather(codes, indices), finite);
    const quantized = passGradient(values, chosen, gradient);
    const losses = this.losses({ features: values, codes, chosen }, context);
    return {
      quantized,
      indices,
      losses: lossesOfAny(losses, context.mask, context.replicas),
      usage: segmentCount(indices, this.codebookSize),
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    return gather(this.codes(), indices);
  }

  /** The codes that features are compared with: float32 `[K, D]`, recorded for gradients. */
  override codes(): Tensor {
    return this.settings.unitLength ? normalizeRows(this.codebook) : this.codebook;
  }

  /** Scaled to length 1 if the codes are; zeros at the padding. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    return this.#sort(features, context).values;
  }

  /** Lets the method learn from the batch, then replaces dead codes. Does nothing if the codebook is frozen.
   * @throws {Error} k-means initialisation has not run: `begin` was not called
   */
  override update(
    { features, indices, usage }: Assignment,
    context: QuantizeContext,
  ): readonly Move[] {
    if (this.settings.frozen) return [];
    if (this.awaitsBatch) {
      throw new Error(
        "Cannot update the codebook: begin must have initialised its codes by k-means, got no call of begin",
      );
    }
    // If nothing is learned here, this rank does not need the rows of the other ranks.
    const learns = this.learn !== CodebookQuantizer.prototype.learn;
    if (!learns && this.deadCodes === undefined) return [];
    return withoutGradients(() => {
      using scope = features.device.scope();
      const { mask, key, replicas = SINGLE } = context;
      const { values, finite, present } = this.#sort(features, context);
      const own = toRows(markRows(values, finite), this.codebookDim, "update the codebook");
      const batch: CodebookBatch = {
        rows: replicas.gather(own),
        indices: replicas.gather(reshape(indices, [indices.size])),
        usage: replicas.sum(usage),
        mask: gatherMask(mask, replicas),
        any: isAny(present, replicas),
        key,
      };
      const moves = [...this.learn(batch), ...this.#replaceDeadCodes(batch)];
      for (const { share } of moves) scope.keep(share);
      return moves;
    });
  }

  /** The weighted losses of a batch, by name. */
  protected losses(
    { features, codes, chosen }: Matched,
    { mask }: QuantizeContext,
  ): Record<string, Tensor> {
    const { commitmentWeight, orthogonality, frozen } = this.settings;
    if (frozen) return { commitment: commitmentLoss(features, chosen, commitmentWeight, mask) };
    return {
      ...codebookLosses(features, chosen, commitmentWeight, mask),
      ...(orthogonality > 0 && { orthogonality: mul(orthogonalityLoss(codes), orthogonality) }),
    };
  }

  /** What the method does after the loss and before the optimiser step; by default nothing. Gradients are off. Tensors
   * made here are recycled afterwards, except the shares of the moves.
   * @returns the codes that it moved
   */
  protected learn(_batch: CodebookBatch): readonly Move[] {
    return [];
  }

  /** Resets the statistics of replaced codes; by default there are none.
   * @param _replaced int32 `[K]`: 1 for a code that was replaced
   */
  protected forget(_replaced: Tensor): void {}

  /** Replaces some codes by other vectors.
   * @param which int32 `[K]`: 1 for a code to replace
   * @param vectors float32 `[K, D]`
   */
  protected replace(which: Tensor, vectors: Tensor): Move {
    const column = reshape(which, [this.codebookSize, 1]);
    assign(this.codebook, where(column, vectors, detach(this.codebook)));
    this.forget(which);
    return { codes: this.codebook, share: cast(which, "float32"), forgets: true };
  }

  #sort(features: Tensor, { mask }: QuantizeContext): SortedFeatures {
    const sorted = sortFeatures(features, mask);
    return this.settings.unitLength ? { ...sorted, values: normalizeRows(sorted.values) } : sorted;
  }

  #replaceDeadCodes({ rows, usage, mask, any, key }: CodebookBatch): readonly Move[] {
    if (this.deadCodes === undefined) return [];
    const dead = this.deadCodes.find(usage, any);
    return [this.replace(dead, randomRows(rows, this.codebookSize, partKey(key, 3), mask))];
  }
}
