/** Normalisations of features before they are looked up. */
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

/** How many batches the running statistics average over. */
const MEMORY = 10;
/** Added to variances. */
const EPSILON = 1e-5;

/** The mean and the variance of the features in each channel, `[D]`. */
interface Statistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** Statistics over all features of the global batch, without padding.
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

/** Normalises features with statistics that it collects in training. */
export abstract class FeatureNormalization extends Module {
  /** The mean of each channel over about the last ten training batches: `[D]`, initially zeros. */
  readonly mean: Tensor;
  /** The variance of each channel: `[D]`, initially ones. */
  readonly variance: Tensor;
  /** How many training batches the running statistics average over, at most ten. */
  readonly batches: Counter = new Counter();

  /** Starts with mean 0 and variance 1.
   * @param width D
   */
  constructor(device: Device, width: number) {
    super();
    this.mean = zeros(device, [width]);
    this.variance = ones(device, [width]);
  }

  /** Normalises features.
   * @param features float32 `[..., D]`, zeros at the padding
   * @param training whether they are a training batch; if so, `observe` must have seen it
   * @param mask 0 at padding
   * @param replicas the processes that share the batch
   * @throws {TypeError} the last axis is not D
   */
  abstract normalize(
    features: Tensor,
    training: boolean,
    mask?: Tensor,
    replicas?: Replicas,
  ): Tensor;

  /** Updates the running statistics with a training batch. Features that are not finite are left out. A batch without a
   * finite feature only increases the count of batches.
   * @param features float32 `[..., D]`, zeros at the padding
   * @param mask 0 at padding
   * @param replicas the processes that share the batch
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

/** Batch normalisation (arXiv 1502.03167) without scale and shift: each channel gets mean 0 and variance 1. Training
 * uses the statistics of the batch, and the gradient passes through them; evaluation uses the running statistics.
 * Features that are not finite are left out of the statistics and become NaN. */
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

/** Divides all features by one number, their running standard deviation. No gradient passes through that number. */
export class DeviationScaling extends FeatureNormalization {
  /** `[..., D]` → the same shape. */
  normalize(features: Tensor): Tensor {
    return div(features, sqrt(add(mean(this.variance.view()), EPSILON)));
  }
}

/** The names of the normalisations. */
export const FEATURE_NORMALIZATIONS = ["batch", "deviation"] as const;

/** Makes a normalisation by its name.
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
