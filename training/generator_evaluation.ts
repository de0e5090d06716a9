/** Judges a generator: what it makes, as a set, beside the images that it learnt from. */
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { Dataset, Split } from "../data/dataset.ts";
import { type Classifier, classShare } from "../metrics/class_share.ts";
import type { FeatureExtractor } from "../metrics/feature_metrics.ts";
import { FeatureStatistics, type Gaussian } from "../metrics/feature_statistics.ts";
import { frechetDistance } from "../metrics/frechet.ts";
import type { Images } from "../metrics/images.ts";
import { type Features, meanKernelDistance } from "../metrics/kernel_distance.ts";
import { neighbourhoodMetrics } from "../metrics/precision_recall.ts";
import type { Generator } from "../objectives/generator.ts";
import type { ObjectiveEvaluation } from "../objectives/objective.ts";
import type { Measurement } from "../objectives/protocol.ts";
import { protocolOf } from "./generator_protocol.ts";

/** Through what images are judged. */
export interface JudgedBy {
  /** What its features are called: "digit features". */
  readonly name: string;
  /** Gives the features. */
  readonly extractor: FeatureExtractor;
  /** Tells its weights from others. */
  readonly hash: string;
  /** Tells the classes of the data set apart, where it can. */
  readonly classifier?: Classifier;
}

/** What is judged, and how. */
export interface GeneratorEvaluationOptions {
  /** Where to compute. */
  readonly device: Device;
  /** What makes the images. */
  readonly generator: Generator;
  /** The images that it was trained on. */
  readonly dataset: Dataset;
  /** How many images are made. */
  readonly count: number;
  /** Of everything random. */
  readonly seed: number;
  /** How it is sampled, and with which weights, as the protocol says it. */
  readonly sampling: Readonly<Record<string, unknown>>;
  /** Images at a time. */
  readonly batchSize: number;
  /** Through what; none where nothing is at hand, and then only the objective's own numbers are measured. */
  readonly by?: JudgedBy;
  /** Hears how many images are made. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What was found. */
export interface GeneratorEvaluation {
  /** The objective's own numbers on the test images. */
  readonly test: ObjectiveEvaluation;
  /** The numbers of the images as a set. */
  readonly measurements: readonly Measurement[];
  /** Their protocols, by hash. */
  readonly protocols: Readonly<Record<string, object>>;
  /** How long an image took. */
  readonly secondsPerSample: number;
  /** Up to 64 of the images, by class where they have one. */
  readonly samples: Images;
  /** The first 16 of them. */
  readonly judged: Images;
  /** The training image nearest to each of `judged`, by the features; none without features. */
  readonly nearest: Images | null;
}

/** Samples shown, and samples whose nearest training image is. */
const SHOWN = 64, NEAREST = 16;

/** Makes images and measures them: FID, KID, precision, recall, density and coverage in the given features against the
 * test images; of a generator that knows classes, the share of images that the classifier takes for what was asked.
 * @throws {RangeError} there are too few images for a metric
 */
export async function evaluateGenerator(
  options: GeneratorEvaluationOptions,
): Promise<GeneratorEvaluation> {
  const { device, generator, dataset, count, seed, sampling, batchSize, by, onProgress } = options;
  const test = await generator.evaluate(
    "test",
    evaluationBatches(dataset, { split: "test", batchSize }),
    { training: false, key: randomKey(seed, "evaluation") },
  );
  const { classes } = generator;
  const labels = classes === 0
    ? undefined
    : Int32Array.from({ length: count }, (_, image) => image % classes);
  const started = performance.now();
  const { images: values } = await generator.generate(device, {
    ...{ count, key: randomKey(seed, "generate"), labels, settings: sampling, batchSize },
    onProgress,
  });
  const secondsPerSample = (performance.now() - started) / 1000 / count;
  const made: Images = { values, shape: [count, ...dataset.imageShape] };
  const shown = {
    ...{ test, secondsPerSample },
    samples: firstOf(made, SHOWN),
    judged: firstOf(made, NEAREST),
  };
  if (by === undefined) return { ...shown, measurements: [], protocols: {}, nearest: null };

  const generated = await featuresOf(by.extractor, parts(made, batchSize));
  const real = await featuresOf(by.extractor, partsOf(dataset, "test", batchSize));
  const numbers = await compareSets(device, real, generated, by.extractor.dimensions);
  if (labels !== undefined && by.classifier !== undefined) {
    numbers.push({
      ...{ metric: "class-share", name: "share of the class asked for", better: "higher" },
      ...{ value: await classShare(device, by.classifier, made, labels), decimals: 4 },
    });
  }
  const { hash, protocol } = protocolOf(device, dataset, options, by);
  return {
    ...shown,
    measurements: numbers.map((number) => ({
      ...number,
      name: number.metric === "class-share" ? number.name : `${number.name} (${by.name})`,
      caution: cautionOf(number.metric, Math.min(count, real.count), by.extractor.dimensions),
      equalPairs: null,
      protocol: hash,
    })),
    protocols: { [hash]: protocol },
    nearest: await nearestImages(
      by.extractor,
      dataset,
      firstFeatures(generated, NEAREST),
      batchSize,
    ),
  };
}

type Number = Pick<Measurement, "metric" | "name" | "value" | "better" | "decimals">;

async function compareSets(
  device: Device,
  real: Features,
  generated: Features,
  dimensions: number,
): Promise<Number[]> {
  const distance = frechetDistance(gaussianOf(real, dimensions), gaussianOf(generated, dimensions));
  const kernel = await meanKernelDistance(device, real, generated);
  const { precision, recall, density, coverage } = await neighbourhoodMetrics(
    device,
    real,
    generated,
  );
  const share = (metric: string, value: number): Number => ({
    ...{ metric, name: metric, value, better: "higher", decimals: 4 },
  });
  return [
    { metric: "fid", name: "FID", value: distance, better: "lower", decimals: 2 },
    { metric: "kid", name: "KID", value: kernel, better: "lower", decimals: 5 },
    share("precision", precision),
    share("recall", recall),
    share("density", density),
    share("coverage", coverage),
  ];
}

function cautionOf(metric: string, images: number, dimensions: number): string | null {
  if (metric !== "fid" || images > dimensions) return null;
  return `of ${images} images, no more than the ${dimensions} features: the covariance is singular and the estimate biased`;
}

function gaussianOf({ values }: Features, dimensions: number): Gaussian {
  const statistics = new FeatureStatistics(dimensions);
  statistics.add(values);
  return statistics.gaussian();
}

function firstOf({ values, shape: [count, ...shape] }: Images, most: number): Images {
  const taken = Math.min(count, most);
  return { values: values.slice(0, taken * sizeOf(shape)), shape: [taken, ...shape] };
}

function firstFeatures({ values, count }: Features, most: number): Features {
  const taken = Math.min(count, most);
  return { values: values.slice(0, values.length / count * taken), count: taken };
}

async function* parts({ values, shape: [count, ...shape] }: Images, size: number) {
  const image = sizeOf(shape);
  for (let start = 0; start < count; start += size) {
    const end = Math.min(count, start + size);
    yield await Promise.resolve(
      {
        values: values.slice(start * image, end * image),
        shape: [end - start, ...shape],
      } as Images,
    );
  }
}

async function* partsOf(dataset: Dataset, split: Split, batchSize: number): AsyncGenerator<Images> {
  for await (const { images, count } of evaluationBatches(dataset, { split, batchSize })) {
    yield { values: images, shape: [count, ...dataset.imageShape] };
  }
}

async function featuresOf(
  extractor: FeatureExtractor,
  images: AsyncIterable<Images>,
): Promise<Features> {
  const rows: Float32Array[] = [];
  let count = 0;
  for await (const part of images) {
    rows.push(await extractor.features(clipped(part)));
    count += part.shape[0];
  }
  const values = new Float32Array(count * extractor.dimensions);
  let at = 0;
  for (const row of rows) {
    values.set(row, at);
    at += row.length;
  }
  return { values, count };
}

function clipped({ values, shape }: Images): Images {
  return { values: values.map((value) => Math.min(1, Math.max(-1, value))), shape };
}

/** The training image whose features are nearest to each of some. */
async function nearestImages(
  extractor: FeatureExtractor,
  dataset: Dataset,
  to: Features,
  batchSize: number,
): Promise<Images> {
  const { dimensions } = extractor, size = sizeOf(dataset.imageShape);
  const least = new Float64Array(to.count).fill(Infinity);
  const nearest = new Float32Array(to.count * size);
  for await (const part of partsOf(dataset, "train", batchSize)) {
    const features = await extractor.features(part);
    for (let image = 0; image < part.shape[0]; image++) {
      for (let sample = 0; sample < to.count; sample++) {
        let distance = 0;
        for (let d = 0; d < dimensions; d++) {
          distance += (features[image * dimensions + d] - to.values[sample * dimensions + d]) ** 2;
        }
        if (distance >= least[sample]) continue;
        least[sample] = distance;
        nearest.set(part.values.subarray(image * size, (image + 1) * size), sample * size);
      }
    }
  }
  return { values: nearest, shape: [to.count, ...dataset.imageShape] };
}
