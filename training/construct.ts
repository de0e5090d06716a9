/** Makes what a configuration describes. */
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { stepsPerEpoch } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { VQVAE } from "../models/vqvae.ts";
import { Adam, AdamW, type Optimizer } from "../nn/optimizers.ts";
import {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  type Schedule,
  withWarmup,
} from "../nn/schedules.ts";
import { createQuantizer } from "../quantizers/registry.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Config, OptimizerConfig } from "./config.ts";

/** The model of a configuration, with its initial weights, for the images of a data set.
 *
 * ```ts
 * import { constructModel, openDevice, openDigits, resolveConfig } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const config = resolveConfig({ flags: { model: { hidden: 8, residualHidden: 4 } } });
 * const model = constructModel(config, device, await openDigits());
 * console.log(model.namedParameters().keys());
 * ```
 * @throws {RangeError} the images' sides are not divisible by the model's downsampling
 */
export function constructModel(config: Config, device: Device, { imageShape }: Dataset): VQVAE {
  const { seed, model, quantizer } = config;
  const [height, width] = imageShape;
  if (height % VQVAE.downsampling !== 0 || width % VQVAE.downsampling !== 0) {
    throw new RangeError(
      `Cannot make the model: the images' sides must be divisible by ${VQVAE.downsampling}, got ${height}×${width}; ` +
        "--data.size chooses another for most data sets",
    );
  }
  const made = createQuantizer(device, quantizer, randomKey(seed, "initial quantizer"));
  const key = randomKey(seed, "initial model");
  return new VQVAE(device, made, { channels: imageShape[2], ...model, key });
}

/** Gives a model the state that it has in a checkpoint.
 * @throws {TypeError} the checkpoint is of a model of other settings
 */
export function restoreModel(model: VQVAE, { state }: Checkpoint): void {
  const prefix = "model.";
  const entries = [...state].filter(([name]) => name.startsWith(prefix));
  model.loadStateDictionary(
    new Map(entries.map(([name, entry]) => [name.slice(prefix.length), entry])),
  );
}

/** The optimiser of a configuration for the parameters of a model. */
export function constructOptimizer(config: OptimizerConfig, model: VQVAE): Optimizer {
  const { type, beta1, beta2, epsilon, weightDecay } = config;
  const Method = { adam: Adam, adamw: AdamW }[type];
  return new Method(model.namedParameters(), { beta1, beta2, epsilon, weightDecay });
}

/** How many steps a run of a configuration has.
 * @throws {RangeError} the batch is larger than the training set
 */
export function totalSteps({ training }: Config, dataset: Dataset): number {
  const { epochs, maxSteps, batchSize } = training;
  return Math.min(epochs * stepsPerEpoch(dataset, batchSize), maxSteps ?? Infinity);
}

/** The learning rate of every step, counted from 0, of a run of so many steps; a schedule takes up the steps after
 * the warm-up. */
export function constructLearningRate(config: OptimizerConfig, steps: number): Schedule {
  const { learningRate, schedule, warmupSteps, floor } = config;
  const scheduled = Math.max(1, steps - warmupSteps);
  const factor = withWarmup(
    warmupSteps,
    {
      constant: () => constantSchedule,
      cosine: () => cosineSchedule(scheduled, floor),
      linear: () => linearSchedule(scheduled, floor),
    }[schedule](),
  );
  return (step) => learningRate * factor(step);
}
