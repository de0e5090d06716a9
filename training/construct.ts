/** Constructs the objects that a configuration describes. */
import type { Device } from "../core/tensor.ts";
import { stepsPerEpoch } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import type { FirstStage } from "../models/first_stage.ts";
import type { QuantizerConfig } from "../quantizers/registry.ts";
import type { Module, StateDictionary } from "../nn/module.ts";
import type { Objective } from "../objectives/objective.ts";
import { constructFor } from "../objectives/reconstruction_kind.ts";
import type { ObjectiveNeeds } from "../objectives/kind.ts";
import { objectiveKind } from "../objectives/registry.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Config } from "./config.ts";

/** Constructs the objective of a configuration, with its model and optimisers in their initial state.
 * @param stage1 the first stage, if the configuration names one
 * @throws {RangeError} the images do not fit the model, or the batch is larger than the training set
 */
export async function constructObjective(
  config: Config,
  device: Device,
  dataset: Dataset,
  stage1?: FirstStage,
): Promise<Objective> {
  return await objectiveKind(config.objective.type).make(device, needsOf(config, dataset, stage1));
}

/** Collects what is needed to construct the objective of a configuration.
 * @throws {RangeError} the batch is larger than the training set
 */
export function needsOf(config: Config, dataset: Dataset, stage1?: FirstStage): ObjectiveNeeds {
  const { seed, objective, model, quantizer, optimizer, training } = config;
  const { type: _, ...settings } = objective;
  return {
    ...{ seed, dataset, settings, model, quantizer, optimizer, stage1 },
    recompute: training.recompute,
    steps: totalSteps(config, dataset),
    stepsPerEpoch: stepsPerEpoch(dataset, training.batchSize),
    accumulate: training.accumulate,
  };
}

/** Constructs the first stage of a configuration, with its initial weights, for the images of a data set.
 *
 * ```ts
 * import { constructModel, openDevice, openDigits, resolveConfig } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const config = resolveConfig({ flags: { model: { hidden: 8, residualHidden: 4 } } });
 * const model = constructModel(config, device, await openDigits());
 * console.log(model.namedParameters().keys());
 * ```
 * @throws {RangeError} the configuration is not of a first stage, or the images' sides are not divisible by the model's
 * downsampling
 */
export function constructModel(
  config: Config,
  device: Device,
  dataset: Pick<Dataset, "imageShape">,
): Autoencoder {
  const { seed, model } = config, quantizer = quantizerOf(config);
  return constructFor(device, { seed, model, quantizer }, dataset);
}

/** The quantiser settings in the configuration of a first stage.
 * @throws {RangeError} the configuration is of another kind of run
 */
export function quantizerOf({ objective, quantizer }: Config): QuantizerConfig {
  if (quantizer !== undefined) return quantizer;
  throw new RangeError(
    `Cannot open a first stage: its objective must train a quantizer, got ${objective.type}`,
  );
}

/** The choices of a run's weights: the trained weights, their averages, or (`auto`) the averages if there are any. */
export const WEIGHTS = ["auto", "trained", "averaged"] as const;

/** One of `WEIGHTS`. */
export type ModelWeights = typeof WEIGHTS[number];

/** Loads the state of a model from a checkpoint.
 * @throws {TypeError} the checkpoint is of a model of other settings
 * @throws {RangeError} averaged weights are requested, but the checkpoint has none
 */
export function restoreModel(
  model: Module,
  { state }: Pick<Checkpoint, "state">,
  weights: ModelWeights = "auto",
): void {
  const own = entriesOf(state, "model.");
  const averages = entriesOf(state, "average.values.");
  if (weights === "averaged" && averages.size === 0) {
    throw new RangeError(
      "Cannot load averaged weights: the run must have been trained with --training.averageDecay, got one without",
    );
  }
  model.loadStateDictionary(weights === "trained" ? own : new Map([...own, ...averages]));
}

/** The entries whose names begin with a prefix; the prefix is removed. */
function entriesOf(state: StateDictionary, prefix: string): Map<string, StateEntry> {
  const entries = [...state].filter(([name]) => name.startsWith(prefix));
  return new Map(entries.map(([name, entry]) => [name.slice(prefix.length), entry]));
}

type StateEntry = StateDictionary extends ReadonlyMap<string, infer Entry> ? Entry : never;

/** The number of steps in a run of a configuration.
 * @throws {RangeError} the batch is larger than the training set
 */
export function totalSteps({ training }: Pick<Config, "training">, dataset: Dataset): number {
  const { epochs, maxSteps, batchSize } = training;
  return Math.min(epochs * stepsPerEpoch(dataset, batchSize), maxSteps ?? Infinity);
}
