/** Trains a classifier of a data set's own classes for its features, and measures reference points for Fréchet
 * distances. */
import { philox, randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import { classCount, type Dataset, type Split } from "../data/dataset.ts";
import { FeatureExtractor, type LearntFeatures } from "../metrics/feature_metrics.ts";
import { FeatureStatistics, type Gaussian } from "../metrics/feature_statistics.ts";
import { frechetDistance, type FrechetScale } from "../metrics/frechet.ts";
import { type ImageClassifier, trainImageClassifier } from "../metrics/image_classifier.ts";
import type { Images } from "../metrics/images.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { joinParts } from "../objectives/gather_rows.ts";

/** How many images are read at once. */
const BATCH = 256;
const SEED = 20230515;

/** Trains a classifier of the classes of a data set on its training images.
 * @throws {RangeError} the data set has no classes, or its images cannot be read by index
 */
export async function trainOnClasses(device: Device, dataset: Dataset): Promise<ImageClassifier> {
  const { name, labels, imageShape } = dataset;
  if (labels === undefined || dataset.sequence !== undefined) {
    throw new RangeError(
      `Cannot learn features: the data set must have classes and images that can be read by index, got ${name}`,
    );
  }
  return await trainImageClassifier(device, {
    ...{ imageShape, labels: labels.train, classes: classCount(dataset, "learnt features") },
    images: (indices) => dataset.images("train", indices),
  });
}

/** Trains a classifier of the classes of a data set and measures reference points for distances in its features.
 *
 * ```ts
 * import { learnFeatures, memoryDataset, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const train = Float32Array.from({ length: 8 * 16 }, (_, at) => at < 4 * 16 ? -1 : 1);
 * const test = Float32Array.from({ length: 2 * 16 }, (_, at) => at < 16 ? -1 : 1);
 * const labels = { train: Int32Array.of(0, 0, 0, 0, 1, 1, 1, 1), test: Int32Array.of(0, 1) };
 * const tones = memoryDataset({ name: "tones", imageShape: [4, 4, 1], train, test, labels });
 * using device = await openDevice("reference");
 * const { classifier, scale } = await learnFeatures(device, tones);
 * assert.equal(classifier.dimensions, 64);
 * assert.ok(scale.real < scale.independent);
 * classifier[Symbol.dispose]();
 * ```
 * @param replicas the processes that compute the features for the scale together; each trains the whole classifier
 * @throws {RangeError} the data set has no classes, or its images cannot be read by index
 */
export async function learnFeatures(
  device: Device,
  dataset: Dataset,
  replicas: Replicas = SINGLE,
): Promise<LearntFeatures> {
  const classifier = await trainOnClasses(device, dataset);
  const extractor = new FeatureExtractor(device, classifier), count = dataset.sizes.test;
  const test = await gaussianOf({ extractor, dataset, split: "test", wanted: count, replicas });
  return { classifier, scale: await frechetScale(extractor, dataset, test, count, replicas) };
}

/** The Fréchet distances from a data set's test images to real images and to images of independent pixels.
 * @param test the statistics of the test images' features
 * @param count the number of images compared with them; at most the number of training images
 * @param replicas the processes that compute the features together, each those of some batches
 */
export async function frechetScale(
  extractor: FeatureExtractor,
  dataset: Dataset,
  test: Gaussian,
  count: number,
  replicas: Replicas = SINGLE,
): Promise<FrechetScale> {
  const chosen = { extractor, dataset, split: "train", wanted: count, replicas } as const;
  const real = await gaussianOf(chosen);
  const independent = await gaussianOf(chosen, withIndependentPixels);
  return {
    real: frechetDistance(test, real),
    independent: frechetDistance(test, independent),
  };
}

/** Images whose features the ranks compute together. */
interface ChosenImages {
  readonly extractor: FeatureExtractor;
  readonly dataset: Dataset;
  readonly split: Split;
  readonly wanted: number;
  readonly replicas: Replicas;
}

/** The statistics of the features of images that are spread evenly over a part.
 * @param change a function applied to each batch first
 */
async function gaussianOf(
  { extractor, dataset, split, wanted, replicas }: ChosenImages,
  change: (images: Images, batch: number) => Images = (images) => images,
): Promise<Gaussian> {
  const count = Math.min(wanted, dataset.sizes[split]), batches = Math.ceil(count / BATCH);
  const features = new Float32Array(count * extractor.dimensions);
  let end = 0;
  for (let batch = 0; batch < batches; batch++) {
    // Each batch is spread over the whole part, which is often sorted by class.
    const size = Math.ceil((count - batch) / batches), start = end;
    end += size;
    if (batch % replicas.count !== replicas.rank) continue;
    const indices = Int32Array.from(
      { length: size },
      (_, at) => Math.floor((batch + at * batches) * dataset.sizes[split] / count),
    );
    const values = await dataset.images(split, indices);
    const images = change({ values, shape: [size, ...dataset.imageShape] }, batch);
    features.set(await extractor.features(images), start * extractor.dimensions);
  }
  replicas.wait("for the features");
  await joinParts(extractor.device, features, replicas);
  const statistics = new FeatureStatistics(extractor.dimensions);
  statistics.add(features);
  return statistics.gaussian();
}

/** Redraws each pixel, from the same position of any image of the batch. */
function withIndependentPixels({ values, shape }: Images, batch: number): Images {
  const [count, height, width, channels] = shape, size = sizeOf([height, width, channels]);
  const key = randomKey(SEED, "independent pixels"), words = new Uint32Array(4);
  const drawn = new Float32Array(values.length);
  for (let pixel = 0; pixel < values.length / channels; pixel++) {
    philox(key, batch, pixel, words);
    const to = pixel * channels, from = words[0] % count * size + to % size;
    for (let channel = 0; channel < channels; channel++) {
      drawn[to + channel] = values[from + channel];
    }
  }
  return { values: drawn, shape };
}
