/** The interface that every quantiser implements, and that models and tasks consume. */
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { Module } from "../nn/module.ts";

/** When and for what features are quantised. */
export interface QuantizeContext {
  /** Whether this is a training step. */
  readonly training: boolean;
  /** For random choices; its step is the training step. */
  readonly key: RandomKey;
}

/** What quantising gives. */
export interface Quantized {
  /** float32 `[..., D]`: the codes, with the features' gradient (straight-through). */
  readonly quantized: Tensor;
  /** int32 `[...]`: which code each feature became, in [0, K). */
  readonly indices: Tensor;
  /** Named scalars, already weighted; their sum is added to the loss. */
  readonly losses: Readonly<Record<string, Tensor>>;
  /** int32 `[K]`: how often each code was chosen in this batch. */
  readonly usage: Tensor;
}

/** What a batch was quantised to: what `update` learns from. */
export interface Assignment {
  /** float32 `[..., D]`: the features before quantisation. */
  readonly features: Tensor;
  /** int32 `[...]`. */
  readonly indices: Tensor;
  /** int32 `[K]`. */
  readonly usage: Tensor;
}

/** Replaces features by codes.
 *
 * A training step runs in phases: assign and quantise (`quantize`), the loss and its gradients, `update`, then the
 * optimiser's step. A quantiser of one's own is a subclass; it needs no change elsewhere.
 */
export abstract class Quantizer extends Module {
  /** K: the number of codes. */
  abstract readonly codebookSize: number;
  /** D: the length of a code. */
  abstract readonly codebookDim: number;

  /** Replaces each feature by a code.
   * @param features float32 `[..., D]`
   * @throws {TypeError} the last axis is not D
   */
  abstract quantize(features: Tensor, context: QuantizeContext): Quantized;

  /** The codes at indices: int32 `[...]` → float32 `[..., D]`. */
  abstract lookup(indices: Tensor): Tensor;

  /** Changes the codebook outside of the gradient: re-anchoring, moving averages. By default nothing. */
  update(_assignment: Assignment, _context: QuantizeContext): void {}
}
