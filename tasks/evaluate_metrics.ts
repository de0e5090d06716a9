/** The metrics of the task `evaluate`, and the file of their reference statistics. */
import { createHash } from "node:crypto";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { MetricOptions } from "../metrics/metric_kinds.ts";
import {
  decodeStatistics,
  readStatisticsBytes,
  writeStatistics,
} from "../metrics/statistics_file.ts";
import type { Replicas } from "../nn/replicas.ts";
import { ImageEvaluation, type Rounding, type Unmeasured } from "../training/image_evaluation.ts";
import { learnFeatures } from "../training/learnt_features.ts";
import { trainOnDigits } from "./evaluate_generator.ts";
import type { Output } from "./output.ts";

/** The flags that name files of the metrics; null without a file. */
export interface MetricFlags {
  /** The folder with the weights of the metrics' networks. */
  readonly "metrics.weights": string | null;
  /** The statistics that replace the originals in FID. */
  readonly "metrics.reference": string | null;
  /** Where to write the statistics of the originals. */
  readonly "metrics.save": string | null;
}

/** Opens the metrics, and reports those that cannot be measured before the others start. */
export async function openEvaluation(
  names: readonly string[],
  device: Device,
  rounding: Rounding,
  { options, output, dataset, replicas }: {
    readonly options: MetricFlags;
    readonly output: Output;
    /** The data set. Without it there are no learnt features. */
    readonly dataset?: Dataset;
    readonly replicas?: Replicas;
  },
): Promise<ImageEvaluation> {
  const evaluation = await ImageEvaluation.open(
    names,
    await metricOptions(device, options, dataset, replicas),
    rounding,
  );
  for (const { metric } of evaluation.unmeasured) output.say(`continuing without ${metric}`);
  return evaluation;
}

async function metricOptions(
  device: Device,
  options: MetricFlags,
  dataset: Dataset | undefined,
  replicas: Replicas | undefined,
): Promise<MetricOptions> {
  const { "metrics.weights": weights, "metrics.reference": reference } = options;
  return {
    device,
    weights,
    reference: reference === null ? undefined : await readReference(reference),
    digitClassifier: () => trainOnDigits(device),
    learntFeatures: dataset && (() => learnFeatures(device, dataset, replicas)),
  };
}

/** Saves the statistics, if requested.
 * @returns the reason if that was not possible, as for a metric
 */
export async function saveReference(
  evaluation: ImageEvaluation,
  { "metrics.save": path }: MetricFlags,
): Promise<readonly Unmeasured[]> {
  if (path === null) return [];
  try {
    await writeStatistics(path, evaluation.reference());
    return [];
  } catch (cause) {
    return [{ metric: "metrics.save", reason: (cause as Error).message }];
  }
}

async function readReference(path: string): Promise<MetricOptions["reference"]> {
  const bytes = await readStatisticsBytes(path);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return { gaussian: decodeStatistics(bytes, path), hash };
}
