/** The interface of every data set. Images are read by index, or only in sequence if the data set has the method
 * `sequence`. */
import type { RandomKey } from "../core/random.ts";

/** A part of a data set. */
export type Split = "train" | "test";

/** The images that are measured: a part of a data set, or the held-out training images. */
export type MeasuredSplit = Split | "validation";

/** Options for reading a data set in sequence. */
export interface SequenceOptions {
  /** Images per batch; the last batch may be smaller. */
  readonly batchSize: number;
  /** The range of images of a batch to return; by default all. Other images are not decoded, and a batch without any is
   * skipped.
   * @param batch the number of the batch, from 0
   * @param count the number of its images
   */
  readonly wanted?: (batch: number, count: number) => readonly [from: number, to: number];
  /** The key of the order, the crops and the flips. Without a key: the data set's own order, centre crops and no flips.
   */
  readonly key?: RandomKey;
}

/** Some images of a data set that is read in sequence. */
export interface SequenceBatch {
  /** The values of `[count, height, width, channels]` in [−1, 1], row-major. */
  readonly images: Float32Array<ArrayBuffer>;
  /** The class of each image, if the data set has classes. */
  readonly labels?: Int32Array<ArrayBuffer>;
}

/** A set of images of one size. */
export interface Dataset {
  /** The name, on the command line and in reports. */
  readonly name: string;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** The number of images in each part. */
  readonly sizes: Readonly<Record<Split, number>> & { readonly validation?: number };
  /** The class of every image of a part, in the part's order, if classes are known. A data set that is read in sequence
   * returns the classes with its batches instead. */
  readonly labels?: Readonly<Record<Split, Int32Array>>;
  /** The names of the classes, by their numbers. */
  readonly classes?: readonly string[];
  /** The variance of all values of the training images on the [0, 1] scale, the v of mse/v. For a data set that is not
   * in memory, the variance of at most 512 images, spread evenly over the set. */
  readonly variance: number;
  /** Returns images by index.
   * @param indices whole numbers in [0, sizes[split])
   * @param key the key of the random augmentation (a crop, a flip), which depends only on the key and the index; its
   * step is the epoch. Without a key, images are not augmented
   * @returns the values of `[indices.length, height, width, channels]` in [−1, 1], row-major
   * @throws {RangeError} an index is out of range
   * @throws {Error} more images are broken than the limit allows; up to the limit, the next intact image replaces a
   * broken one
   */
  images(split: Split, indices: Int32Array, key?: RandomKey): Promise<Float32Array<ArrayBuffer>>;
  /** Only for data sets without random access: reads a part once, in an order that the key determines. `images` then
   * reads from the start of the part to the last requested index in every call.
   * @returns the wanted images of each batch
   * @throws {Error} as `images`, or a shard cannot be read
   */
  sequence?(
    split: Split,
    options: SequenceOptions,
  ): AsyncIterableIterator<SequenceBatch>;
}

/** Checks that indices are in the range of a part of a data set.
 * @throws {RangeError} an index is out of range
 */
export function checkIndices(
  { name, sizes }: Pick<Dataset, "name" | "sizes">,
  split: Split,
  indices: Int32Array,
): void {
  const wrong = indices.find((index) => index < 0 || index >= sizes[split]);
  if (wrong === undefined) return;
  throw new RangeError(
    `Cannot read ${name}: the index of a ${split} image must be in [0, ${
      sizes[split]
    }), got ${wrong}`,
  );
}

/** Checks that every image has a label, and that every label has a name.
 * @throws {RangeError} the number of labels is not the number of images, or a label does not belong to a class
 */
export function checkLabels(
  { name, sizes }: Pick<Dataset, "name" | "sizes">,
  labels: Readonly<Record<Split, Int32Array>>,
  classes: readonly string[] | undefined,
): void {
  for (const split of ["train", "test"] as const) {
    if (labels[split].length !== sizes[split]) {
      throw new RangeError(
        `Cannot make the data set ${name}: there must be ${sizes[split]} ${split} labels, got ${
          labels[split].length
        }`,
      );
    }
    const wrong = labels[split].find((label) => label < 0 || label >= (classes?.length ?? 2 ** 31));
    if (wrong === undefined) continue;
    throw new RangeError(
      `Cannot make the data set ${name}: a label must be in [0, ${classes?.length}), got ${wrong}`,
    );
  }
}

/** Describes which data sets have classes, for messages. */
const CLASSED =
  "digits, emoji, mnist, fashion-mnist and cifar10 have classes, and so have image-folder and imagenet " +
  "where every image lies in the folder of its class, parquet with --data.label and webdataset with --data.classes";

/** The number of classes of a data set.
 * @param setting the setting that requests classes, for the message
 * @throws {RangeError} the data set has no classes
 */
export function classCount(
  { name, labels, classes, sequence }: Pick<Dataset, "name" | "labels" | "classes" | "sequence">,
  setting: string,
): number {
  if (sequence !== undefined && classes !== undefined) return classes.length;
  if (labels !== undefined) {
    return classes?.length ?? labels.train.reduce((most, label) => Math.max(most, label + 1), 0);
  }
  throw new RangeError(
    `Cannot train with classes: ${setting} must be false for a data set without classes, got true with ${name}; ${CLASSED}`,
  );
}
