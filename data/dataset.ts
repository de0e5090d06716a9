/** The interface of every data set: images by index, nothing more. */

/** Which part of a data set. */
export type Split = "train" | "test";

/** A set of images of one size. */
export interface Dataset {
  /** What it is called, on the command line and beside every number. */
  readonly name: string;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** How many images each part holds. */
  readonly sizes: Readonly<Record<Split, number>>;
  /** The variance of all values of the training images on the [0, 1] scale: v of METHOD 4. */
  readonly variance: number;
  /** Gives images by index.
   * @param indices whole numbers in [0, sizes[split])
   * @returns the values of `[indices.length, height, width, channels]` in [−1, 1], row-major
   * @throws {RangeError} an index is out of range
   */
  images(split: Split, indices: Int32Array): Promise<Float32Array<ArrayBuffer>>;
}
