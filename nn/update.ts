/** An optimiser together with its parameters, learning-rate schedule and gradient clipping. */
import type { Tensor } from "../core/tensor.ts";
import { clipGradients, withoutShare } from "./gradients.ts";
import type { Optimizer } from "./optimizers.ts";
import { averageOverRanks, type Replicas, SINGLE } from "./replicas.ts";
import type { Schedule } from "./schedules.ts";

/** Options of an update. */
export interface UpdateOptions {
  /** The learning rate of a step, counted from 0. */
  readonly learningRate: Schedule;
  /** The maximum global norm of the gradients, for clipping; by default no limit. */
  readonly clipNorm?: number;
}

/** Rows of a parameter that were changed by something other than the optimiser, such as a restart of dead codes. */
export interface ReplacedRows {
  /** The parameter, `[K, ...]`. */
  readonly codes: Tensor;
  /** float32 `[K]` in [0, 1]: the share of each row that was replaced. */
  readonly share: Tensor;
}

/** Updates some parameters. An objective has one for each loss that it minimises, and keeps the optimiser's state.
 *
 * ```ts
 * import {
 *   Adam, backward, Linear, mean, openDevice, randomKey, square, Update,
 * } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 2, 1, { key: randomKey(1, "layer") });
 * const optimizer = new Adam(layer.namedParameters());
 * const update = new Update(layer.parameters(), optimizer, { learningRate: () => 1e-3, clipNorm: 1 });
 * const loss = mean(square(layer.forward(device.tensor([1, 2], [1, 2]))));
 * update.step(backward(loss, update.parameters), 0);
 * ```
 */
export class Update {
  /** The parameters to update. */
  readonly parameters: readonly Tensor[];
  readonly #optimizer: Optimizer;
  readonly #options: UpdateOptions;

  /** Combines an optimiser with its parameters, in the optimiser's order. */
  constructor(parameters: readonly Tensor[], optimizer: Optimizer, options: UpdateOptions) {
    this.parameters = parameters;
    this.#optimizer = optimizer;
    this.#options = options;
  }

  /** The learning rate of a step, counted from 0. */
  learningRate(step: number): number {
    return this.#options.learningRate(step);
  }

  /** Updates every parameter in place.
   * @param gradients in the order of the parameters
   * @param step counted from 0
   * @param replaced rows that were changed; their gradients and moments are scaled down by the share that was replaced
   * @param replicas the processes whose gradients are averaged first; by default only this one
   */
  step(
    gradients: readonly Tensor[],
    step: number,
    replaced: readonly ReplacedRows[] = [],
    replicas: Replicas = SINGLE,
  ): void {
    const { device } = gradients[0];
    device.phase("all-reduce");
    const averaged = averageOverRanks(gradients, replicas);
    device.phase("optimizer");
    for (const { codes, share } of replaced) this.#optimizer.forget(codes, share);
    const [first, ...rest] = averaged.map((gradient, index) =>
      replaced.filter(({ codes }) => codes === this.parameters[index])
        .reduce((left, { share }) => withoutShare(left, share), gradient)
    );
    const { clipNorm } = this.#options;
    const clipped = clipNorm === undefined
      ? [first, ...rest]
      : clipGradients([first, ...rest], clipNorm);
    this.#optimizer.step(clipped, this.learningRate(step));
  }
}
