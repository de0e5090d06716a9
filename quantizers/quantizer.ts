/** The interface of every quantiser. Models and tasks use only this. */
import { mul } from "../core/functions/elementwise.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import { Module } from "../nn/module.ts";

/** The context of a quantisation: training or not, random key, mask and processes.
 *
 * If several processes train together, each quantises an equal part of the batch, and either all or none have a mask.
 * State and losses are those of the global batch: after `begin` and `update` the state is the same on all ranks, and the
 * mean of their losses is the loss of the whole batch. Results per feature cover only the rank's own features. */
export interface QuantizeContext extends Context {
  /** float32 or int32 `[...]`: 1 for a feature, 0 for padding; by default all are features. Padding becomes index −1
   * and a vector of zeros. It does not count in losses, usage, updates and gradients. */
  readonly mask?: Tensor;
}

/** The result of `quantize`. */
export interface Quantized {
  /** float32 `[..., D]`: the codes. Their gradient goes to the features (straight-through). */
  readonly quantized: Tensor;
  /** int32 `[...]`: the code of each feature, in [0, K); −1 for padding. If a feature has several codes, they lie along
   * additional last axes, those of `codeAxes`. */
  readonly indices: Tensor;
  /** Scalars by name, already weighted. Their sum is added to the loss. */
  readonly losses: Readonly<Record<string, Tensor>>;
  /** int32 `[K]`: how often each code was chosen in this batch, or in this rank's part of it. */
  readonly usage: Tensor;
  /** int32, a scalar: how many features were not finite (a NaN, an infinity, or a length beyond 1e15). Such a feature
   * has index −1 and a vector of NaN, so that its loss is NaN. `usage` does not count it, and `update` learns nothing
   * from it. Every method of the registry reports this number; your own quantiser may leave it out. */
  readonly nonFinite?: Tensor;
}

/** The input of `update`: the features of a batch, or of a rank's part of it, and their codes. */
export interface Assignment {
  /** float32 `[..., D]`: the features before quantisation. */
  readonly features: Tensor;
  /** int32 `[...]`: the index of each feature. */
  readonly indices: Tensor;
  /** int32 `[K]`: how often each code was chosen. */
  readonly usage: Tensor;
}

/** Codes that `update` moved directly, not by the gradient or by moving averages. */
export interface Move {
  /** The codes `[K, D]`, a parameter or a buffer of the quantiser. */
  readonly codes: Tensor;
  /** float32 `[K]` in [0, 1]: how far each code moved, from its old value (0) to its replacement (1). */
  readonly share: Tensor;
  /** Whether the code's optimiser moments, and its gradient from before the move, are scaled down by that share. */
  readonly forgets: boolean;
}

/** Statistics of the images to reconstruct. */
export interface ImageStatistics {
  /** v: the variance of the training images on the [0, 1] scale. */
  readonly variance: number;
  /** The number of values of an image. */
  readonly imageSize: number;
}

/** Replaces features by codes.
 *
 * A training step runs in phases: `begin`, `quantize`, the loss and its gradients, `update`, then the optimiser step.
 * Only `begin` and `update` change the quantiser's state. So a step may quantise its features in several parts, between
 * one `begin` and one `update` that get all of them. To add your own quantiser, write a subclass; nothing else has to
 * change.
 */
export abstract class Quantizer extends Module {
  /** K: the number of codes. */
  abstract readonly codebookSize: number;
  /** D: the length of a code. */
  abstract readonly codebookDim: number;

  /** The additional axes of indices, after those of the features: none if a feature has one code, `[depth]` for a
   * residual quantiser. */
  get codeAxes(): Shape {
    return [];
  }

  /** Rows and columns of the features, if codes cover whole grids of one size: features are then `[..., h, w, D]` and
   * indices `[..., ...codeAxes]`. By default none: each feature has its own codes. */
  get grid(): readonly [height: number, width: number] | undefined {
    return undefined;
  }

  /** How many codes an index is chosen from: K by default, fewer if there are several quantisers with separate
   * codes. */
  get choices(): number {
    return this.codebookSize;
  }

  /** The smallest index of each code of a position, in the order of `codeAxes`. Each index is in [start, start +
   * `choices`). */
  get codeStarts(): readonly number[] {
    return [0];
  }

  /** Whether `begin` must see the next training batch; by default false. */
  get awaitsBatch(): boolean {
    return false;
  }

  /** Prepares for a training batch, before `quantize` sees it: initialises codes by k-means, or updates running
   * statistics. By default does nothing. It is not called in evaluation.
   * @param features float32 `[..., D]`: all features of the step
   * @throws {TypeError} the last axis is not D
   */
  begin(_features: Tensor, _context: QuantizeContext): void {}

  /** Replaces each feature by a code. Does not change state.
   * @param features float32 `[..., D]`
   * @throws {TypeError} the last axis is not D
   */
  abstract quantize(features: Tensor, context: QuantizeContext): Quantized;

  /** The codes at indices: int32 `[...]` → float32 `[..., D]`; zeros for −1. */
  abstract lookup(indices: Tensor): Tensor;

  /** The current codes, in the space where distances are measured: float32 `[K, D']`. By default undefined: not every
   * method keeps a codebook. */
  codes(): Tensor | undefined {
    return undefined;
  }

  /** The features in the form that is compared with `codes`: float32 `[..., D']`. If a feature has several codes,
   * `codeAxes` come before the last axis. By default the features are unchanged. */
  compared(features: Tensor, _context: QuantizeContext): Tensor {
    return features;
  }

  /** The reconstruction loss: by default mse/v, as in the implementation of arXiv 1711.00937.
   * @param mse a scalar: the mean squared error over all values of the global batch
   * @returns a scalar
   */
  reconstructionLoss(mse: Tensor, { variance }: ImageStatistics): Tensor {
    return mul(mse, 1 / variance);
  }

  /** Changes the codebook without gradients, for example by re-anchoring or by exponential moving averages. By default
   * does nothing.
   * @returns the codes that were moved, if any
   */
  update(_assignment: Assignment, _context: QuantizeContext): readonly Move[] {
    return [];
  }
}
