/** The interface that every quantiser implements, and that models and tasks consume. */
import { mul } from "../core/functions/elementwise.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import { Module } from "../nn/module.ts";
import type { Replicas } from "../nn/replicas.ts";

/** When and for what features are quantised. */
export interface QuantizeContext extends Context {
  /** float32 or int32 `[...]`: 1 where there is a feature, 0 where there is padding; everywhere features by default.
   * Padding becomes index −1 and a vector of zeros, and has no part in losses, usage, updates and gradients. */
  readonly mask?: Tensor;
  /** The processes that train together, one by default. Each quantises an equal part of the batch, all with the same key,
   * and with a mask or all without. State and losses are those of the global batch: after `begin` and `update` the state
   * is the same on all ranks, and the mean of their losses is the loss of the whole. Results for each feature are those
   * of the rank's own. */
  readonly replicas?: Replicas;
}

/** What quantising gives. */
export interface Quantized {
  /** float32 `[..., D]`: the codes, with the features' gradient (straight-through). */
  readonly quantized: Tensor;
  /** int32 `[...]`: which code each feature became, in [0, K); −1 for padding. Where a feature becomes several codes,
   * they lie along further axes at the end, those of `codeAxes`. */
  readonly indices: Tensor;
  /** Named scalars, already weighted; their sum is added to the loss. */
  readonly losses: Readonly<Record<string, Tensor>>;
  /** int32 `[K]`: how often each code was chosen in this batch, or in this rank's part of it. */
  readonly usage: Tensor;
  /** int32, a scalar: how many features were not finite (a NaN, an infinity, or a length beyond 1e15). Such a feature
   * has index −1 and NaN for a vector, so that its loss is NaN; `usage` does not count it, and `update` learns nothing
   * from it. Every method of the registry tells it; one of one's own may leave it away. */
  readonly nonFinite?: Tensor;
}

/** What a batch, or a rank's part of it, was quantised to: what `update` learns from. */
export interface Assignment {
  /** float32 `[..., D]`: the features before quantisation. */
  readonly features: Tensor;
  /** int32 `[...]`. */
  readonly indices: Tensor;
  /** int32 `[K]`. */
  readonly usage: Tensor;
}

/** Codes that `update` moved to another place, by other means than the gradient or their moving averages. */
export interface Move {
  /** The codes, `[K, D]`: a parameter or a buffer of the quantiser. */
  readonly codes: Tensor;
  /** float32 `[K]` in [0, 1]: how far each went from what it was (0) to what replaces it (1). */
  readonly share: Tensor;
  /** Whether that share of what the optimiser remembers of the old code is to be forgotten: its moments, and the
   * gradient that was computed before the move. */
  readonly forgets: boolean;
}

/** What is known of the images that are rebuilt. */
export interface ImageStatistics {
  /** v: the variance of the training images on the [0, 1] scale. */
  readonly variance: number;
  /** How many values an image has. */
  readonly imageSize: number;
}

/** Replaces features by codes.
 *
 * A training step runs in phases: `begin`, assign and quantise (`quantize`), the loss and its gradients, `update`, then
 * the optimiser's step. Only `begin` and `update` change the quantiser's state: a step may quantise its features in
 * several parts, between one `begin` and one `update` with all of them. A quantiser of one's own is a subclass; it needs
 * no change elsewhere.
 */
export abstract class Quantizer extends Module {
  /** K: the number of codes. */
  abstract readonly codebookSize: number;
  /** D: the length of a code. */
  abstract readonly codebookDim: number;

  /** The axes that indices have behind those of the features: none where a feature becomes one code, `[depth]` for a
   * residual quantiser. */
  get codeAxes(): Shape {
    return [];
  }

  /** How many codes an index is chosen from: K by default, fewer where several quantisers have codes of their own. */
  get choices(): number {
    return this.codebookSize;
  }

  /** The least index of each of a place's codes, in the order of `codeAxes`: each is in [start, start + `choices`). */
  get codeStarts(): readonly number[] {
    return [0];
  }

  /** Whether `begin` has something to do with the next training batch. By default not. */
  get awaitsBatch(): boolean {
    return false;
  }

  /** Makes ready for a training batch, before `quantize` sees it: starts codes at its k-means, takes it into running
   * statistics. By default nothing; in evaluation it is left away.
   * @param features float32 `[..., D]`: all features of the step
   * @throws {TypeError} the last axis is not D
   */
  begin(_features: Tensor, _context: QuantizeContext): void {}

  /** Replaces each feature by a code; changes no state.
   * @param features float32 `[..., D]`
   * @throws {TypeError} the last axis is not D
   */
  abstract quantize(features: Tensor, context: QuantizeContext): Quantized;

  /** The codes at indices: int32 `[...]` → float32 `[..., D]`; zeros for −1. */
  abstract lookup(indices: Tensor): Tensor;

  /** The codes as they are now, in the space where nearness is measured: float32 `[K, D']`. By default none: a method
   * may have no codebook that it keeps. */
  codes(): Tensor | undefined {
    return undefined;
  }

  /** The features as they are compared with `codes`: float32 `[..., D']`, where a feature becomes several codes with
   * `codeAxes` before the last axis; by default as they are. */
  compared(features: Tensor, _context: QuantizeContext): Tensor {
    return features;
  }

  /** How the error of the reconstruction enters the training loss: by default mse/v, as in the implementation of
   * arXiv 1711.00937.
   * @param mse a scalar: the mean squared error over all values of the global batch
   * @returns a scalar
   */
  reconstructionLoss(mse: Tensor, { variance }: ImageStatistics): Tensor {
    return mul(mse, 1 / variance);
  }

  /** Changes the codebook outside of the gradient: re-anchoring, moving averages. By default nothing.
   * @returns the codes that were put elsewhere, if any
   */
  update(_assignment: Assignment, _context: QuantizeContext): readonly Move[] {
    return [];
  }
}
