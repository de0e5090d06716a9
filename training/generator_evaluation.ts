/** Evaluates a generator: compares its samples, as a set, with the images of its data set. */
import { randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { type Batch, evaluationBatches } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { type Classifier, classShare } from "../metrics/class_share.ts";
import type { FeatureExtractor } from "../metrics/feature_metrics.ts";
import { FeatureStatistics, type Gaussian } from "../metrics/feature_statistics.ts";
import { frechetDistance } from "../metrics/frechet.ts";
import type { Images } from "../metrics/images.ts";
import { type Features, meanKernelDistance } from "../metrics/kernel_distance.ts";
import { neighbourhoodMetrics } from "../metrics/precision_recall.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { joinParts } from "../objectives/gather_rows.ts";
import type { Generator } from "../objectives/generator.ts";
import { inOrder, type MeasuredBatch } from "../objectives/measured_parts.ts";
import type { ObjectiveEvaluation } from "../objectives/objective.ts";
import type { Measurement } from "../objectives/protocol.ts";
import { protocolOf } from "./generator_protocol.ts";
import { frechetScale } from "./learnt_features.ts";

/** The feature extractor and classifier that evaluate images. */
export interface JudgedBy {
  /** Name of the features, such as "digit features". */
  readonly name: string;
  /** Extracts the features. */
  readonly extractor: FeatureExtractor;
  /** Hash of the extractor's weights. */
  readonly hash: string;
  /** Classifies images into the classes of the data set, if available. */
  readonly classifier?: Classifier;
}

/** Options of `evaluateGenerator`. */
export interface GeneratorEvaluationOptions {
  /** The device to compute on. */
  readonly device: Device;
  /** The generator to evaluate. */
  readonly generator: Generator;
  /** The data set that it was trained on. */
  readonly dataset: Dataset;
  /** The number of images to generate. */
  readonly count: number;
  /** Seed of all random numbers. */
  readonly seed: number;
  /** How it is sampled, and with which weights, for the protocol. */
  readonly sampling: Readonly<Record<string, unknown>>;
  /** Images per batch. */
  readonly batchSize: number;
  /** Features to evaluate with. Without them, only the objective's own metrics are measured. */
  readonly by?: JudgedBy;
  /** Called with the number of images generated so far. */
  readonly onProgress?: (done: number, total: number) => void;
  /** The processes that evaluate it together, by default one. Each generates and measures a part of the images, and
   * gets the numbers and the images of all. */
  readonly replicas?: Replicas;
}

/** Result of `evaluateGenerator`. */
export interface GeneratorEvaluation {
  /** The objective's own metrics on the test images. */
  readonly test: ObjectiveEvaluation;
  /** The metrics of the generated images as a set. */
  readonly measurements: readonly Measurement[];
  /** The protocols of the measurements, by hash. */
  readonly protocols: Readonly<Record<string, object>>;
  /** Seconds to generate one image. */
  readonly secondsPerSample: number;
  /** The first images, at most 64. If there are classes, the images take each class in turn. */
  readonly samples: Images;
  /** The first 16 generated images. */
  readonly judged: Images;
  /** The training image nearest to each of `judged`, by features; null without features. */
  readonly nearest: Images | null;
}

/** The number of samples shown, and the number of samples shown with their nearest training image. */
const SHOWN = 64, NEAREST = 16;

/** Generates images and measures them: FID, KID, precision, recall, density and coverage in the given features, against
 * the test images. For a class-conditional generator it also measures the fraction of images that the classifier
 * assigns to the requested class.
 * @throws {RangeError} there are too few images for a metric
 */
export async function evaluateGenerator(
  options: GeneratorEvaluationOptions,
): Promise<GeneratorEvaluation> {
  const { device, generator, dataset, count, seed, sampling, batchSize, by, onProgress } = options;
  const { replicas = SINGLE } = options;
  const part = generator.measuresParts ? replicas : SINGLE;
  const test = await generator.evaluate(
    "test",
    evaluationBatches(dataset, { split: "test", batchSize, part }),
    { training: false, key: randomKey(seed, "evaluation"), replicas: part },
  );
  const { classes } = generator;
  const labels = classes === 0
    ? undefined
    : Int32Array.from({ length: count }, (_, image) => image % classes);
  const started = performance.now();
  const { images: values } = await generator.generate(device, {
    ...{ count, key: randomKey(seed, "generate"), labels, settings: sampling, batchSize },
    ...{ onProgress, replicas },
  });
  const secondsPerSample = (performance.now() - started) / 1000 / count;
  const made: Images = { values, shape: [count, ...dataset.imageShape] };
  const shown = {
    ...{ test, secondsPerSample },
    samples: firstOf(made, SHOWN),
    judged: firstOf(made, NEAREST),
  };
  if (by === undefined) return { ...shown, measurements: [], protocols: {}, nearest: null };

  const shared = { ...options, replicas, extractor: by.extractor };
  const generated = await featuresOf(shared, batchesOf(made, batchSize, replicas));
  const testImages = { split: "test", batchSize, part: replicas } as const;
  const real = await featuresOf(shared, evaluationBatches(dataset, testImages));
  const numbers = await compareSets(device, real, generated, by.extractor.dimensions);
  const scale = dataset.sequence === undefined
    ? await frechetScale(
      by.extractor,
      dataset,
      gaussianOf(real, by.extractor.dimensions),
      count,
      replicas,
    )
    : undefined;
  if (labels !== undefined && by.classifier !== undefined) {
    numbers.push({
      ...{ metric: "class-share", name: "share of the class asked for", better: "higher" },
      ...{ value: await classShare(device, by.classifier, made, labels, replicas), decimals: 4 },
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
      ...number.metric === "fid" && scale !== undefined ? { scale } : {},
      protocol: hash,
    })),
    protocols: { [hash]: protocol },
    nearest: await nearestImages(shared, firstFeatures(generated, NEAREST)),
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

/** A rank's batches of some images: every `count`-th from the `rank`-th on, as `evaluationBatches` gives them. */
async function* batchesOf(
  { values, shape: [count, ...shape] }: Images,
  size: number,
  { rank, count: ranks }: Replicas,
): AsyncGenerator<Batch> {
  const image = sizeOf(shape);
  for (let first = rank * size; first < count; first += ranks * size) {
    const end = Math.min(count, first + size);
    const images = values.slice(first * image, end * image);
    yield await Promise.resolve({ images, count: end - first, first });
  }
}

/** What the ranks need to compute features together. */
interface SharedFeatures {
  readonly device: Device;
  readonly dataset: Dataset;
  readonly extractor: FeatureExtractor;
  readonly batchSize: number;
  readonly replicas: Replicas;
}

/** The features of the images of all ranks, in their order.
 * @param batches those of this rank
 */
async function featuresOf(
  { device, dataset, extractor, replicas }: SharedFeatures,
  batches: AsyncIterable<Batch>,
): Promise<Features> {
  const { dimensions } = extractor;
  const parts: Float32Array[] = [], measured: MeasuredBatch[] = [];
  let done = 0;
  for await (const { images, count, first = done } of batches) {
    const shape = [count, ...dataset.imageShape] as const;
    parts.push(await extractor.features(clipped({ values: images, shape })));
    measured.push({ first, count });
    done = first + count;
  }
  const own = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    own.set(part, at);
    at += part.length;
  }
  const values = await inOrder(device, own, measured, replicas, dimensions);
  return { values, count: values.length / dimensions };
}

function clipped({ values, shape }: Images): Images {
  return { values: values.map((value) => Math.min(1, Math.max(-1, value))), shape };
}

/** For each of some images, the training image with the nearest features. */
async function nearestImages(shared: SharedFeatures, to: Features): Promise<Images> {
  const { device, dataset, extractor, batchSize, replicas } = shared;
  const { dimensions } = extractor, size = sizeOf(dataset.imageShape);
  const least = new Float64Array(to.count).fill(Infinity), places = new Int32Array(to.count);
  const nearest = new Float32Array(to.count * size);
  const options = { split: "train", batchSize, part: replicas } as const;
  let done = 0;
  for await (const { images, count, first = done } of evaluationBatches(dataset, options)) {
    const shape = [count, ...dataset.imageShape] as const;
    const features = await extractor.features({ values: images, shape });
    for (let image = 0; image < count; image++) {
      for (let sample = 0; sample < to.count; sample++) {
        let distance = 0;
        for (let d = 0; d < dimensions; d++) {
          distance += (features[image * dimensions + d] - to.values[sample * dimensions + d]) ** 2;
        }
        if (distance >= least[sample]) continue;
        least[sample] = distance;
        places[sample] = first + image;
        nearest.set(images.subarray(image * size, (image + 1) * size), sample * size);
      }
    }
    done = first + count;
  }
  const ranks = await nearestRanks(device, { least, places }, replicas);
  for (const [sample, rank] of ranks.entries()) {
    if (rank !== replicas.rank) nearest.fill(0, sample * size, (sample + 1) * size);
  }
  await joinParts(device, nearest, replicas);
  return { values: nearest, shape: [to.count, ...dataset.imageShape] };
}

/** For each of some images, the rank that has the nearest training image; of equally near ones, the one with the first.
 * @param own this rank's least distance to each image, and the place of that training image
 */
async function nearestRanks(
  device: Device,
  { least, places }: { readonly least: Float64Array; readonly places: Int32Array },
  replicas: Replicas,
): Promise<number[]> {
  const { rank, count: ranks } = replicas, images = least.length;
  const distances = new Float64Array(ranks * images), firsts = new Int32Array(ranks * images);
  distances.set(least, rank * images);
  firsts.set(places, rank * images);
  replicas.wait("for the nearest images");
  await joinParts(device, distances, replicas);
  await joinParts(device, firsts, replicas);
  return Array.from({ length: images }, (_, image) => {
    let best = 0;
    for (let other = 1; other < ranks; other++) {
      const [a, b] = [best * images + image, other * images + image];
      const isNearer = distances[b] < distances[a] ||
        distances[b] === distances[a] && firsts[b] < firsts[a];
      if (isNearer) best = other;
    }
    return best;
  });
}
