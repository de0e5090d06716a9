/** The interface of every data set: images by index; what can only be read in sequence says so. */
import type { RandomKey } from "../core/random.ts";

/** Which part of a data set. */
export type Split = "train" | "test";

/** Which images are measured: a part of a data set, or the training images that were held out. */
export type MeasuredSplit = Split | "validation";

/** How a data set that is read in sequence is read. */
export interface SequenceOptions {
  /** Images a batch; what is left at the end is a smaller one. */
  readonly batchSize: number;
  /** Which images of a batch to give; all by default. The others are not decoded, and a batch without any is left out.
   * @param batch its number, from 0
   * @param count how many images it has
   */
  readonly wanted?: (batch: number, count: number) => readonly [from: number, to: number];
  /** Of the order, the crops and the flips; none: the set's own order, centre crops, no flips. */
  readonly key?: RandomKey;
}

/** Some images of a data set that is read in sequence. */
export interface SequenceBatch {
  /** The values of `[count, height, width, channels]` in [−1, 1], row-major. */
  readonly images: Float32Array<ArrayBuffer>;
  /** The class of each, where the data set has classes. */
  readonly labels?: Int32Array<ArrayBuffer>;
}

/** A set of images of one size. */
export interface Dataset {
  /** What it is called, on the command line and beside every number. */
  readonly name: string;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** How many images each part holds. */
  readonly sizes: Readonly<Record<Split, number>> & { readonly validation?: number };
  /** What the images show, where that is known: the class of every image of a part, in the part's order. A set that is
   * read in sequence tells classes with its batches instead. */
  readonly labels?: Readonly<Record<Split, Int32Array>>;
  /** What the classes are called, by their numbers. */
  readonly classes?: readonly string[];
  /** The variance of all values of the training images on the [0, 1] scale, the v of mse/v; of a set that does not lie
   * in memory, that of at most 512 of them, spread evenly over the set. */
  readonly variance: number;
  /** Gives images by index.
   * @param indices whole numbers in [0, sizes[split])
   * @param key of what is drawn for an image besides (a crop, a flip), a function of the key and the index alone; its
   * step is the epoch. None: nothing is drawn
   * @returns the values of `[indices.length, height, width, channels]` in [−1, 1], row-major
   * @throws {RangeError} an index is out of range
   * @throws {Error} more images are broken than the set's limit; up to it, the next whole image takes a broken one's
   * place
   */
  images(split: Split, indices: Int32Array, key?: RandomKey): Promise<Float32Array<ArrayBuffer>>;
  /** Only where images do not lie by index: reads a part once, in an order that the key determines. `images` then
   * reads from the start of the part to the last index asked for, at every call.
   * @returns the wanted images of each batch
   * @throws {Error} as `images`, or a shard cannot be read
   */
  sequence?(
    split: Split,
    options: SequenceOptions,
  ): AsyncIterableIterator<SequenceBatch>;
}

/** Checks that a part of a data set has images of such indices.
 * @throws {RangeError} it does not
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
 * @throws {RangeError} they are not as many as the images, or one is no class's number
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

/** Who tells the classes of images, in words. */
const CLASSED =
  "digits, emoji, mnist, fashion-mnist and cifar10 have classes, and so have image-folder and imagenet " +
  "where every image lies in the folder of its class, parquet with --data.label and webdataset with --data.classes";

/** How many classes a data set tells apart.
 * @param setting the one that asks for classes, for the message
 * @throws {RangeError} it tells none
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
