/** Additional metrics at the end of a run (`training.metrics`). */
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { parseMetricNames } from "../metrics/registry.ts";
import type { Replicas } from "../nn/replicas.ts";
import { readCheckpoint } from "../training/checkpoint.ts";
import type { Config } from "../training/config.ts";
import { constructModel, restoreModel } from "../training/construct.ts";
import { ImageEvaluation, type Measurements } from "../training/image_evaluation.ts";
import { learnFeatures } from "../training/learnt_features.ts";
import { evaluateRun } from "../training/run_evaluation.ts";
import type { RunFolder } from "../training/run_folder.ts";
import { trainOnDigits } from "./evaluate_generator.ts";

/** Measures a trained first stage on all test images. */
export class FinalMetrics {
  readonly #names: readonly string[];

  /** Takes the names of the metrics, separated by commas.
   * @throws {RangeError} a name is unknown
   */
  constructor(names: string) {
    this.#names = parseMetricNames(names);
  }

  /** Measures the run in a folder. It uses the averaged weights if the run has some.
   * @param replicas the processes that measure it together; the first one gets the measurements
   */
  async measure(
    config: Config,
    device: Device,
    dataset: Dataset,
    folder: RunFolder,
    replicas: Replicas,
  ): Promise<Pick<Measurements, "measurements" | "unmeasured">> {
    const { seed, training: { batchSize }, objective: { weights } } = config;
    using evaluation = await ImageEvaluation.open(this.#names, {
      device,
      weights: typeof weights === "string" ? weights : null,
      digitClassifier: () => trainOnDigits(device),
      learntFeatures: () => learnFeatures(device, dataset, replicas),
    }, "float");
    using model = constructModel(config, device, dataset);
    restoreModel(model, await readCheckpoint(folder.checkpoint("weights")), "trained");
    const { measurements, unmeasured } = await evaluateRun(evaluation, {
      ...{ device, model, dataset, split: "test", limit: Infinity },
      batches: evaluationBatches(dataset, { split: "test", batchSize, part: replicas }),
      key: randomKey(seed, "evaluation"),
      replicas,
    });
    return { measurements, unmeasured };
  }
}
