/** What a quantiser around another one leaves to it. */
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

/** Quantises by another quantiser, the inner one, which sees the features in another form. */
export abstract class WrappedQuantizer extends Quantizer {
  /** Quantises. */
  abstract readonly inner: Quantizer;

  /** K. */
  get codebookSize(): number {
    return this.inner.codebookSize;
  }

  /** The inner quantiser's. */
  override get codeAxes(): Shape {
    return this.inner.codeAxes;
  }

  /** The inner quantiser's. */
  override get choices(): number {
    return this.inner.choices;
  }

  /** The inner quantiser's. */
  override get codeStarts(): readonly number[] {
    return this.inner.codeStarts;
  }

  /** The inner quantiser's, where nearness is measured. */
  override codes(): Tensor | undefined {
    return this.inner.codes();
  }

  /** As the inner quantiser compares what it sees. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    return this.inner.compared(this.prepare(features, context), context);
  }

  /** The inner quantiser's. */
  override reconstructionLoss(mse: Tensor, images: ImageStatistics): Tensor {
    return this.inner.reconstructionLoss(mse, images);
  }

  /** Whether the inner quantiser waits for one. */
  override get awaitsBatch(): boolean {
    return this.inner.awaitsBatch;
  }

  /** The inner quantiser begins with the features as it sees them. */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!this.inner.awaitsBatch) return;
    withoutGradients(() => {
      using _scope = features.device.scope();
      this.inner.begin(this.prepare(features, context), context);
    });
  }

  /** The inner quantiser learns from the features as it saw them. */
  override update(assignment: Assignment, context: QuantizeContext): readonly Move[] {
    return withoutGradients(() => {
      const features = this.prepare(assignment.features, context);
      return this.inner.update({ ...assignment, features }, context);
    });
  }

  /** The features as the inner quantiser sees them.
   * @throws {TypeError} the mask does not have one value a feature
   */
  protected abstract prepare(features: Tensor, context: QuantizeContext): Tensor;
}
