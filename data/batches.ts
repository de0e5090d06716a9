/** Batches of a data set's images in a seeded order. Each batch is loaded while the device works on the one before it.
 */
import { permutation, type RandomKey, randomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Dataset, Split } from "./dataset.ts";

/** A batch of images. */
export interface Batch {
  /** The values of `[count, height, width, channels]` in [−1, 1], row-major. */
  readonly images: Float32Array<ArrayBuffer>;
  /** The number of images. */
  readonly count: number;
  /** The class of each image, if the data set has classes. */
  readonly labels?: Int32Array<ArrayBuffer>;
  /** The indices of the images in their part, if the data set has random access. */
  readonly indices?: Int32Array<ArrayBuffer>;
  /** For evaluation batches: the position of the first image among all measured images. */
  readonly first?: number;
}

/** One of several equal, consecutive parts of every batch. */
export interface BatchPart {
  /** The number of the part, in [0, count). */
  readonly rank: number;
  /** The number of parts. */
  readonly count: number;
}

const WHOLE: BatchPart = { rank: 0, count: 1 };
/** The empty range of a batch. */
const NONE = [0, 0] as const;

/** Options of `trainingBatches`. */
export interface TrainingBatchesOptions {
  /** The seed of the order. */
  readonly seed: number;
  /** Images per batch. */
  readonly batchSize: number;
  /** The epoch, counted from 0. Each epoch has its own order. */
  readonly epoch: number;
  /** The number of batches to skip at the start, without loading them; by default 0. */
  readonly skip?: number;
  /** The part of each batch to load; by default the whole batch. */
  readonly part?: BatchPart;
}

/** Options of `evaluationBatches`. */
export interface EvaluationBatchesOptions {
  /** The part of the data set. */
  readonly split: Split;
  /** Images per batch. */
  readonly batchSize: number;
  /** The batches to load: every `count`-th one, from the `rank`-th on; by default all. */
  readonly part?: BatchPart;
}

/** The number of batches in an epoch. Training uses only whole batches: the images left over at the end of an epoch are
 * dropped (9,003 images in batches of 128 give 70 steps, with 43 images left over).
 * @throws {RangeError} the batch size is not a positive integer, or larger than the training set
 */
export function stepsPerEpoch({ name, sizes }: Dataset, batchSize: number): number {
  checkBatchSize(batchSize);
  if (batchSize > sizes.train) {
    throw new RangeError(
      `Cannot make batches: the batch size must be at most the ${sizes.train} training images of ${name}, got ${batchSize}`,
    );
  }
  return Math.floor(sizes.train / batchSize);
}

/** The whole batches of one epoch of training images, in an order that the seed and the epoch determine.
 *
 * ```ts
 * import { memoryDataset, trainingBatches } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const train = Float32Array.of(-1, -0.5, 0, 0.5, 1);
 * const dataset = memoryDataset({ name: "dots", imageShape: [1, 1, 1], train, test: train });
 * for await (const { images } of trainingBatches(dataset, { seed: 7, batchSize: 2, epoch: 0 })) {
 *   assert.equal(images.length, 2);
 * }
 * ```
 * @throws {RangeError} as `stepsPerEpoch`, or the parts do not divide the batch; thrown immediately
 */
export function trainingBatches(
  dataset: Dataset,
  { seed, batchSize, epoch, skip = 0, part = WHOLE }: TrainingBatchesOptions,
): AsyncIterableIterator<Batch> {
  const steps = stepsPerEpoch(dataset, batchSize);
  if (batchSize % part.count !== 0) {
    throw new RangeError(
      `Cannot make batches: the batch size must be a multiple of the ${part.count} parts, got ${batchSize}`,
    );
  }
  const shuffle = randomKey(seed, "shuffle", epoch);
  if (dataset.sequence !== undefined) {
    const size = batchSize / part.count, from = part.rank * size;
    const wanted = (batch: number) => batch < skip ? NONE : [from, from + size] as const;
    const batches = dataset.sequence("train", { batchSize, wanted, key: shuffle });
    return ahead(dataset, take(batches, steps - skip));
  }
  const order = permutation(shuffle, dataset.sizes.train)
    .subarray(skip * batchSize, steps * batchSize);
  const batches = cut(order, batchSize).map((batch) => partOf(batch, part));
  const key = randomKey(seed, "augment", epoch);
  return ahead(dataset, byIndex(dataset, "train", batches, key));
}

/** All images of one part in the data set's own order. The last batch is smaller if the batch size does not divide their
 * number.
 * @throws {RangeError} the batch size is not a positive integer; thrown immediately
 */
export function evaluationBatches(
  dataset: Dataset,
  { split, batchSize, part = WHOLE }: EvaluationBatchesOptions,
): AsyncIterableIterator<Batch> {
  checkBatchSize(batchSize);
  const isOwn = (batch: number) => batch % part.count === part.rank;
  if (dataset.sequence !== undefined) {
    const wanted = (batch: number, count: number) => isOwn(batch) ? [0, count] as const : NONE;
    const own = dataset.sequence(split, { batchSize, wanted });
    return ahead(dataset, placed(own, batchSize, part));
  }
  const order = Int32Array.from({ length: dataset.sizes[split] }, (_, index) => index);
  const own = cut(order, batchSize).filter((_, batch) => isOwn(batch));
  return ahead(dataset, placed(byIndex(dataset, split, own), batchSize, part));
}

function checkBatchSize(batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(
      `Cannot make batches: the batch size must be a positive integer, got ${batchSize}`,
    );
  }
}

/** A batch's images, and their classes if they are known. */
type Loaded = Omit<Batch, "count">;

async function* byIndex(
  dataset: Dataset,
  split: Split,
  batches: readonly Int32Array<ArrayBuffer>[],
  key?: RandomKey,
): AsyncGenerator<Loaded> {
  const all = dataset.labels?.[split];
  for (const indices of batches) {
    const images = await dataset.images(split, indices, key);
    const labels = all === undefined ? undefined : indices.map((index) => all[index]);
    yield { images, labels, indices };
  }
}

/** Splits an order into batches. The last batch is smaller if the batch size does not divide the length. */
function cut(order: Int32Array<ArrayBuffer>, batchSize: number): Int32Array<ArrayBuffer>[] {
  return Array.from(
    { length: Math.ceil(order.length / batchSize) },
    (_, batch) => order.subarray(batch * batchSize, (batch + 1) * batchSize),
  );
}

/** Adds to each batch the position of its first image. The batches are every `count`-th one, from the `rank`-th on. */
async function* placed(
  batches: AsyncIterable<Loaded>,
  batchSize: number,
  { rank, count }: BatchPart,
): AsyncGenerator<Loaded> {
  let number = rank;
  for await (const batch of batches) {
    yield { ...batch, first: number * batchSize };
    number += count;
  }
}

function partOf(
  batch: Int32Array<ArrayBuffer>,
  { rank, count }: BatchPart,
): Int32Array<ArrayBuffer> {
  const size = batch.length / count;
  return batch.subarray(rank * size, (rank + 1) * size);
}

async function* take(
  batches: AsyncIterableIterator<Loaded>,
  count: number,
): AsyncGenerator<Loaded> {
  if (count === 0) return;
  for await (const batch of batches) {
    yield batch;
    if (--count === 0) return;
  }
}

/** Loads one batch ahead: when a batch is returned, the next is already being loaded. */
async function* ahead(
  { imageShape }: Dataset,
  batches: AsyncIterableIterator<Loaded>,
): AsyncGenerator<Batch> {
  const load = () => {
    const batch = batches.next();
    batch.catch(() => {}); // An error is thrown when the batch is returned. Until then it must not end the process.
    return batch;
  };
  try {
    let next = load();
    while (true) {
      const { done, value } = await next;
      if (done) return;
      next = load();
      yield { ...value, count: value.images.length / sizeOf(imageShape) };
    }
  } finally {
    await batches.return?.().catch(() => {});
  }
}
