/** How features are brought to one size before they are looked up. */
import { withoutGradients } from "../core/execute.ts";
import { ones, zeros } from "../core/functions/creation.ts";
import { add, div, mul, sqrt, square, sub, where } from "../core/functions/elementwise.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Counter, Module } from "../nn/module.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { assignIf, isAny, markRows, type UsableRows, usableRows } from "./finite_features.ts";
import { featureCount } from "./masks.ts";

/** Batches that the running statistics reach back. */
const MEMORY = 10;
/** Added to variances. */
const EPSILON = 1e-5;

/** The mean and the variance of the features in each channel, `[D]`. */
interface Statistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** Over all features of the global batch that are present.
 * @throws {TypeError} the last axis is not D
 */
function statisticsOf(
  { rows, present }: UsableRows,
  width: number,
  replicas: Replicas,
): Statistics {
  const count = featureCount(present.size, present, replicas);
  const over = (values: Tensor) =>
    div(replicas.sum(sum(toRows(values, width, "normalise features"), 0)), count);
  const mean = over(rows);
  const column = reshape(present, [...present.shape, 1]);
  return { mean, variance: over(square(where(column, sub(rows, mean), 0))) };
}

/** Brings features to one size, by statistics that it learns in training. */
export abstract class FeatureNormalization extends Module {
  /** Of each channel, over about the last ten training batches: `[D]`, initially zeros. */
  readonly mean: Tensor;
  /** Likewise; initially ones. */
  readonly variance: Tensor;
  /** How many training batches the running statistics are the mean of, at most ten. */
  readonly batches: Counter = new Counter();

  /** Starts with mean 0 and variance 1.
   * @param width D
   */
  constructor(device: Device, width: number) {
    super();
    this.mean = zeros(device, [width]);
    this.variance = ones(device, [width]);
  }

  /** The features, normalised.
   * @param features float32 `[..., D]`, zeros at the padding
   * @param training whether they are a training batch, which `observe` has seen
   * @param mask 0 where there is padding
   * @param replicas of which each has a part of the batch
   * @throws {TypeError} the last axis is not D
   */
  abstract normalize(
    features: Tensor,
    training: boolean,
    mask?: Tensor,
    replicas?: Replicas,
  ): Tensor;

  /** Takes a training batch into the running statistics, but for features that are not finite; one without a finite
   * feature counts as a batch and changes nothing else.
   * @param features float32 `[..., D]`, zeros at the padding
   * @param mask 0 where there is padding
   * @param replicas of which each has a part of the batch
   * @throws {TypeError} the last axis is not D
   */
  observe(features: Tensor, mask?: Tensor, replicas: Replicas = SINGLE): void {
    withoutGradients(() => {
      using _scope = features.device.scope();
      const usable = usableRows(features, mask);
      const any = isAny(usable.present, replicas);
      const { mean, variance } = statisticsOf(usable, this.mean.size, replicas);
      const batches = this.batches.value = Math.min(this.batches.value + 1, MEMORY);
      const average = (running: Tensor, now: Tensor) =>
        assignIf(any, running, add(mul(running, 1 - 1 / batches), mul(now, 1 / batches)));
      average(this.mean, mean);
      average(this.variance, variance);
    });
  }
}

/** Each channel at mean 0 and variance 1: of the batch in training, and the gradient passes through both; of the running
 * statistics else. Batch normalisation (arXiv 1502.03167) without scale and shift. Features that are not finite are left
 * out of the batch's, and become NaN. */
export class BatchNormalization extends FeatureNormalization {
  /** `[..., D]` → the same shape. */
  normalize(
    features: Tensor,
    training: boolean,
    mask?: Tensor,
    replicas: Replicas = SINGLE,
  ): Tensor {
    const usable = usableRows(features, mask);
    const { mean, variance } = training ? statisticsOf(usable, this.mean.size, replicas) : this;
    const normalized = div(sub(usable.rows, mean), sqrt(add(variance, EPSILON)));
    return markRows(normalized, usable.finite);
  }
}

/** The features divided by one number, the running deviation of them all; no gradient passes through it. */
export class DeviationScaling extends FeatureNormalization {
  /** `[..., D]` → the same shape. */
  normalize(features: Tensor): Tensor {
    return div(features, sqrt(add(mean(this.variance.view()), EPSILON)));
  }
}

/** How features can be normalised. */
export const FEATURE_NORMALIZATIONS = ["batch", "deviation"] as const;

/** A normalisation by its name.
 * @param width D
 */
export function makeNormalization(
  device: Device,
  name: typeof FEATURE_NORMALIZATIONS[number],
  width: number,
): FeatureNormalization {
  switch (name) {
    case "batch":
      return new BatchNormalization(device, width);
    case "deviation":
      return new DeviationScaling(device, width);
  }
}
