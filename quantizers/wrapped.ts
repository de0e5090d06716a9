/** The base class of quantisers that wrap another one. */
import { withoutGradients } from "../core/execute.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  type Assignment,
  type ImageStatistics,
  type Move,
  type QuantizeContext,
  Quantizer,
} from "./quantizer.ts";

/** Passes transformed features to another quantiser, the inner one, and forwards everything else to it. */
export abstract class WrappedQuantizer extends Quantizer {
  /** The wrapped quantiser. */
  abstract readonly inner: Quantizer;

  /** K. */
  get codebookSize(): number {
    return this.inner.codebookSize;
  }

  /** The code axes of the inner quantiser. */
  override get codeAxes(): Shape {
    return this.inner.codeAxes;
  }

  /** The grid of the inner quantiser. */
  override get grid(): readonly [height: number, width: number] | undefined {
    return this.inner.grid;
  }

  /** The number of choices of the inner quantiser. */
  override get choices(): number {
    return this.inner.choices;
  }

  /** The code starts of the inner quantiser. */
  override get codeStarts(): readonly number[] {
    return this.inner.codeStarts;
  }

  /** The codes of the inner quantiser, in the space where it measures distances. */
  override codes(): Tensor | undefined {
    return this.inner.codes();
  }

  /** The features in the form that the inner quantiser compares with its codes. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    return this.inner.compared(this.prepare(features, context), context);
  }

  /** The reconstruction loss of the inner quantiser. */
  override reconstructionLoss(mse: Tensor, images: ImageStatistics): Tensor {
    return this.inner.reconstructionLoss(mse, images);
  }

  /** Whether the inner quantiser waits for a batch. */
  override get awaitsBatch(): boolean {
    return this.inner.awaitsBatch;
  }

  /** Calls the inner quantiser's `begin` with the transformed features. */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!this.inner.awaitsBatch) return;
    withoutGradients(() => {
      using _scope = features.device.scope();
      this.inner.begin(this.prepare(features, context), context);
    });
  }

  /** Updates the inner quantiser with the transformed features. */
  override update(assignment: Assignment, context: QuantizeContext): readonly Move[] {
    return withoutGradients(() => {
      const features = this.prepare(assignment.features, context);
      return this.inner.update({ ...assignment, features }, context);
    });
  }

  /** Transforms the features for the inner quantiser.
   * @throws {TypeError} the mask does not have one value per feature
   */
  protected abstract prepare(features: Tensor, context: QuantizeContext): Tensor;
}

/** Passes the features on unchanged, and changes only what the inner quantiser returns. */
export abstract class OutputWrapper extends WrappedQuantizer {
  /** The wrapped quantiser. */
  readonly inner: Quantizer;

  /** Wraps a quantiser. */
  constructor(inner: Quantizer) {
    super();
    this.inner = inner;
  }

  /** D. */
  get codebookDim(): number {
    return this.inner.codebookDim;
  }

  /** int32 `[...]` → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    return this.inner.lookup(indices);
  }

  /** The features, unchanged. */
  protected override prepare(features: Tensor): Tensor {
    return features;
  }
}
