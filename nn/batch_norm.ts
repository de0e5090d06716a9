/** Batch normalisation. */
import { assign, parameter, withoutGradients } from "../core/execute.ts";
import { ones, zeros } from "../core/functions/creation.ts";
import { add, div, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { mean } from "../core/functions/reductions.ts";
import { showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { type Context, Layer } from "./module.ts";
import { meanOverRanks, type Replicas, SINGLE } from "./replicas.ts";

/** Options of a batch norm. */
export interface BatchNormOptions {
  /** Added to the variance; by default 1e-5. */
  readonly epsilon?: number;
  /** The weight of a batch's statistics in the update of the running ones; by default 0.1. */
  readonly momentum?: number;
}

/** Batch normalisation over all axes but the last (arXiv 1502.03167), then scale and shift; PyTorch's conventions.
 *
 * In training it normalises with the batch's mean and biased variance, and moves the running statistics towards the
 * batch's mean and unbiased variance. In evaluation it uses the running statistics. With several processes, the
 * statistics are those of the global batch.
 *
 * ```ts
 * import { BatchNorm, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new BatchNorm(device, 1);
 * const context = { training: true, key: randomKey(1, "step") };
 * const [a, b] = await layer.forward(device.tensor([0, 20], [2, 1]), context).floats();
 * assert.ok(Math.abs(a + 1) < 1e-4 && Math.abs(b - 1) < 1e-4);
 * assert.deepEqual([...await layer.runningMean.floats()], [1]);
 * ```
 */
export class BatchNorm extends Layer {
  /** `[channels]`, initially ones. */
  readonly weight: Tensor;
  /** `[channels]`, initially zeros. */
  readonly bias: Tensor;
  /** `[channels]`, initially zeros. */
  readonly runningMean: Tensor;
  /** `[channels]`, initially ones. */
  readonly runningVariance: Tensor;
  readonly #epsilon: number;
  readonly #momentum: number;

  /** Makes the scale, the shift and the running statistics. */
  constructor(device: Device, channels: number, options: BatchNormOptions = {}) {
    super();
    const { epsilon = 1e-5, momentum = 0.1 } = options;
    this.weight = parameter(ones(device, [channels]));
    this.bias = parameter(zeros(device, [channels]));
    this.runningMean = zeros(device, [channels]);
    this.runningVariance = ones(device, [channels]);
    this.#epsilon = epsilon;
    this.#momentum = momentum;
  }

  /** `[..., channels]` → the same shape.
   * @throws {TypeError} the last axis does not match, or in training there is only one value per channel
   */
  forward(x: Tensor, context?: Context): Tensor {
    const rows = toRows(x, this.weight.size, "normalise a batch");
    const normalized = context?.training
      ? this.#byBatch(rows, x, context.replicas ?? SINGLE)
      : this.#scaled(sub(rows, this.runningMean), this.runningVariance);
    return reshape(normalized, x.shape);
  }

  #byBatch(rows: Tensor, x: Tensor, replicas: Replicas): Tensor {
    const count = rows.shape[0] * replicas.count;
    if (count < 2) {
      throw new TypeError(
        `Cannot normalise a batch: in training each channel needs two values or more, got shape ${
          showShape(x.shape)
        }`,
      );
    }
    const batchMean = meanOverRanks(mean(rows, 0), replicas);
    const centred = sub(rows, batchMean);
    const variance = meanOverRanks(mean(square(centred), 0), replicas);
    withoutGradients(() => {
      this.#move(this.runningMean, batchMean, 1);
      this.#move(this.runningVariance, variance, count / (count - 1));
    });
    return this.#scaled(centred, variance);
  }

  /** running ← (1 − momentum)·running + momentum·factor·value */
  #move(running: Tensor, value: Tensor, factor: number): void {
    const kept = mul(running, 1 - this.#momentum);
    assign(running, add(kept, mul(value, this.#momentum * factor)));
  }

  #scaled(centred: Tensor, variance: Tensor): Tensor {
    const scale = div(this.weight, sqrt(add(variance, this.#epsilon)));
    return add(mul(centred, scale), this.bias);
  }
}
