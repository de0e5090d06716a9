/** Evaluates a generator: the part of `evaluate` for such runs. */
import { basename, join, resolve } from "node:path";
import type { Device } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { digitLabels, openDigits } from "../data/digits.ts";
import { readyForJson } from "../files/json_number.ts";
import { trainDigitClassifier } from "../metrics/digit_features.ts";
import { FeatureExtractor } from "../metrics/feature_metrics.ts";
import { SharedNetworks } from "../metrics/metric_kinds.ts";
import { drawGeneratorReport } from "../reports/generator_report.ts";
import type { ModelWeights } from "../training/construct.ts";
import { evaluateGenerator, type JudgedBy } from "../training/generator_evaluation.ts";
import type { RunDevices } from "../reports/settings_table.ts";
import { trainOnClasses } from "../training/learnt_features.ts";
import { DamagedFileError } from "../training/read_back.ts";
import { readRunCosts } from "../training/run_files.ts";
import type { Communicator } from "../training/distributed/communicator.ts";
import { replicasOver } from "../training/distributed/replicas.ts";
import { openGenerator } from "../training/open_generator.ts";
import { RunFolder } from "../training/run_folder.ts";
import { ImageProgress } from "./image_progress.ts";
import { showEvaluation, showMeasurements } from "./measured.ts";
import type { Output } from "./output.ts";
import { placeOf } from "./ranks.ts";

/** The settings given on the command line. */
export interface GeneratorFlags {
  /** `last`, `best`, or the path of a file. */
  readonly checkpoint: string;
  /** Which weights to use. */
  readonly weights: ModelWeights;
  /** The number of images to generate; null: as many as the test set has. */
  readonly count: number | null;
  /** The sampling settings. */
  readonly sampling: Readonly<Record<string, unknown>>;
  /** The folder with the weight files of the networks. */
  readonly metricsWeights: string | null;
  /** Whether to write the report. */
  readonly report: boolean;
  /** Connects the processes that evaluate the run together; the first one writes and prints. */
  readonly communicator: Communicator;
}

/** Evaluates, prints the results, and writes evaluation.json and report.html to the run's folder. */
export async function evaluateGeneratorRun(
  path: string,
  device: Device,
  output: Output,
  { checkpoint, weights, count, sampling, metricsWeights, report, communicator }: GeneratorFlags,
): Promise<number> {
  using run = await openGenerator(path, device, { checkpoint, weights });
  const { config, generator, dataset } = run;
  using networks = new SharedNetworks();
  const place = placeOf(device, communicator);
  output.say(`evaluating ${path} on ${place}`);
  const by = await judgeFor(networks, device, dataset, metricsWeights);
  if (by === undefined) {
    output.say(
      "the images are not judged as a set: without classes to learn features from, images other than 28×28 and grey need Inception's weights, --metrics.weights",
    );
  }
  const total = count ?? dataset.sizes.test;
  const progress = new ImageProgress(output, total);
  const evaluation = await evaluateGenerator({
    ...{ device, generator, dataset, sampling, by, seed: config.seed },
    count: total,
    batchSize: Math.min(256, config.training.batchSize),
    onProgress: (done, of) => progress.show(Math.floor(done * total / of)),
    replicas: replicasOver(communicator, device),
  });
  progress.clear();
  if (communicator.rank > 0) return 0;
  const { test, measurements, protocols, secondsPerSample } = evaluation;
  const result = {
    ...{ run: path, checkpoint, device: place, sampling },
    ...{ test: { ...test.numbers, protocol: test.protocol }, measurements, secondsPerSample },
    protocols: { ...test.protocols, ...protocols },
  };
  if (report) {
    const folder = new RunFolder(path);
    const page = drawGeneratorReport({
      ...{ title: basename(resolve(path)), config, evaluation },
      records: await folder.records(),
      classes: generator.classes === 0 ? [] : dataset.classes ?? [],
      devices: await devicesOf(path, place, output),
    });
    await folder.writeEvaluation(readyForJson(result), page);
  }
  output.result(result, [
    ...showEvaluation(test),
    ...showMeasurements({ measurements, unmeasured: [] }),
    ...report ? [`the report is ${join(path, "report.html")}`] : [],
  ]);
  return 0;
}

/** The devices that trained and evaluate a run, for its report.
 * @param measured the description of the device that evaluates it
 */
export async function devicesOf(
  path: string,
  measured: string,
  output: Output,
): Promise<RunDevices> {
  const trained = await readRunCosts(path).catch((cause) => {
    if (!(cause instanceof DamagedFileError)) throw cause;
    output.say(`${cause.message}; the report does not name the device that trained the run`);
  });
  return { trained: trained?.device ?? null, measured };
}

/** The features for the evaluation: Inception's if its weights are given; those of a classifier of the data set's own
 * classes, unless these are the ten digits; those of a digit classifier for images of the digits' shape; otherwise none. */
async function judgeFor(
  networks: SharedNetworks,
  device: Device,
  dataset: Dataset,
  weights: string | null,
): Promise<JudgedBy | undefined> {
  if (weights !== null) {
    const options = { device, weights, digitClassifier: () => trainOnDigits(device) };
    const { extractor, hash } = await networks.inception(options);
    return { name: "Inception features", extractor, hash };
  }
  const { imageShape, labels, classes, sequence } = dataset;
  const digits = imageShape.join() === "28,28,1" &&
    (labels === undefined || classes?.join() === "0,1,2,3,4,5,6,7,8,9");
  if (!digits && (labels === undefined || sequence !== undefined)) return undefined;
  const classifier = networks.own(
    digits ? await trainOnDigits(device) : await trainOnClasses(device, dataset),
  );
  return {
    name: digits ? "digit features" : "learnt features",
    extractor: new FeatureExtractor(device, classifier),
    hash: await classifier.hash(),
    classifier,
  };
}

/** Trains the digit classifier. */
export async function trainOnDigits(
  device: Device,
): Promise<Awaited<ReturnType<typeof trainDigitClassifier>>> {
  const digits = await openDigits();
  const indices = Int32Array.from({ length: digits.sizes.train }, (_, index) => index);
  const values = await digits.images("train", indices);
  const images = { values, shape: [digits.sizes.train, ...digits.imageShape] as const };
  return await trainDigitClassifier(device, images, await digitLabels("train"));
}
