/** Data sets in memory that store each value as one byte. */
import { checkShape, showShape, sizeOf } from "../core/shape.ts";
import { checkIndices, checkLabels, type Dataset, type Split } from "./dataset.ts";

/** Options of `byteDataset`. */
export interface ByteDatasetOptions {
  /** The name of the data set. */
  readonly name: string;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** The training images one after another, row-major; 0 is black. The array is not copied. */
  readonly train: Uint8Array;
  /** The test images, in the same form. */
  readonly test: Uint8Array;
  /** The class of every image; none by default. */
  readonly labels?: Readonly<Record<Split, Int32Array>>;
  /** The names of the classes. */
  readonly classes?: readonly string[];
}

/** The value in [−1, 1] of each byte. */
const SCALED = Float32Array.from({ length: 256 }, (_, byte) => 2 * byte / 255 - 1);

/** Scales bytes to [−1, 1].
 * @param from values in 0 … 255
 * @param to receives the values, from element `start` on
 */
export function scaleBytes(from: Uint8Array, to: Float32Array, start: number): void {
  for (let value = 0; value < from.length; value++) to[start + value] = SCALED[from[value]];
}

/** The variance of bytes on the [0, 1] scale. */
export function byteVariance(parts: Iterable<Uint8Array>): number {
  const counts = new Float64Array(256);
  for (const bytes of parts) for (const byte of bytes) counts[byte]++;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const mean = counts.reduce((sum, count, byte) => sum + count * byte, 0) / total;
  const squares = counts.reduce((sum, count, byte) => sum + count * (byte - mean) ** 2, 0);
  return squares / total / 255 ** 2;
}

class ByteDataset implements Dataset {
  readonly name: string;
  readonly imageShape: readonly [height: number, width: number, channels: number];
  readonly sizes: Readonly<Record<Split, number>>;
  readonly variance: number;
  readonly labels: Dataset["labels"];
  readonly classes: Dataset["classes"];
  readonly #bytes: Readonly<Record<Split, Uint8Array>>;
  readonly #imageSize: number;

  constructor({ name, imageShape, train, test, labels, classes }: ByteDatasetOptions) {
    checkShape(imageShape, `make the data set ${name}`);
    this.name = name;
    this.imageShape = imageShape;
    this.#bytes = { train, test };
    this.#imageSize = sizeOf(imageShape);
    this.sizes = { train: this.#count("train"), test: this.#count("test") };
    this.variance = byteVariance([train]);
    if (labels !== undefined) checkLabels(this, labels, classes);
    this.labels = labels;
    this.classes = classes;
  }

  async images(split: Split, indices: Int32Array): Promise<Float32Array<ArrayBuffer>> {
    checkIndices(this, split, indices);
    const [bytes, size] = [this.#bytes[split], this.#imageSize];
    const values = new Float32Array(indices.length * size);
    indices.forEach((index, place) =>
      scaleBytes(bytes.subarray(index * size, (index + 1) * size), values, place * size)
    );
    return await Promise.resolve(values);
  }

  #count(split: Split): number {
    const images = this.#bytes[split].length / this.#imageSize;
    if (images > 0 && Number.isInteger(images)) return images;
    throw new RangeError(
      `Cannot make the data set ${this.name}: ${split} must hold whole images of shape ${
        showShape(this.imageShape)
      } and at least one, got ${this.#bytes[split].length} bytes`,
    );
  }
}

/** Makes a data set of images in memory, stored as bytes; 0 … 255 becomes −1 … 1.
 *
 * ```ts
 * import { byteDataset } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const images = Uint8Array.of(0, 255, 0, 255);
 * const dataset = byteDataset({ name: "dots", imageShape: [1, 2, 1], train: images, test: images });
 * assert.deepEqual(await dataset.images("test", Int32Array.of(1)), Float32Array.of(-1, 1));
 * assert.equal(dataset.variance, 0.25);
 * ```
 * @throws {RangeError} a side is not a positive integer, a part does not hold whole images and at least one, or a label
 * is missing or does not belong to a class
 */
export function byteDataset(options: ByteDatasetOptions): Dataset {
  return new ByteDataset(options);
}
