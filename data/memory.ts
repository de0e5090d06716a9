/** Data sets whose images are in memory. */
import { checkShape, showShape, sizeOf } from "../core/shape.ts";
import { checkIndices, checkLabels, type Dataset, type Split } from "./dataset.ts";

/** Options of `memoryDataset`. */
export interface MemoryDatasetOptions {
  /** The name of the data set. */
  readonly name: string;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
  /** The training images one after another, in [−1, 1], row-major. The array is not copied. */
  readonly train: Float32Array<ArrayBuffer>;
  /** The test images, in the same form. */
  readonly test: Float32Array<ArrayBuffer>;
  /** The class of every image; none by default. */
  readonly labels?: Readonly<Record<Split, Int32Array>>;
  /** The names of the classes. */
  readonly classes?: readonly string[];
}

class MemoryDataset implements Dataset {
  readonly name: string;
  readonly imageShape: readonly [height: number, width: number, channels: number];
  readonly sizes: Readonly<Record<Split, number>>;
  readonly variance: number;
  readonly labels: Dataset["labels"];
  readonly classes: Dataset["classes"];
  readonly #values: Readonly<Record<Split, Float32Array<ArrayBuffer>>>;
  readonly #imageSize: number;

  constructor({ name, imageShape, train, test, labels, classes }: MemoryDatasetOptions) {
    checkShape(imageShape, `make the data set ${name}`);
    this.name = name;
    this.imageShape = imageShape;
    this.#values = { train, test };
    this.#imageSize = sizeOf(imageShape);
    this.sizes = { train: this.#count("train"), test: this.#count("test") };
    this.variance = unitVariance(train);
    if (labels !== undefined) checkLabels(this, labels, classes);
    this.labels = labels;
    this.classes = classes;
  }

  async images(split: Split, indices: Int32Array): Promise<Float32Array<ArrayBuffer>> {
    checkIndices(this, split, indices);
    const [values, size] = [this.#values[split], this.#imageSize];
    const result = new Float32Array(indices.length * size);
    indices.forEach((index, place) => {
      result.set(values.subarray(index * size, (index + 1) * size), place * size);
    });
    return await Promise.resolve(result);
  }

  /** Checks the images of a part and returns their number. */
  #count(split: Split): number {
    const values = this.#values[split];
    const images = values.length / this.#imageSize;
    if (images === 0 || !Number.isInteger(images)) {
      throw new RangeError(
        `Cannot make the data set ${this.name}: ${split} must hold whole images of shape ${
          showShape(this.imageShape)
        } and at least one, got ${values.length} values`,
      );
    }
    for (let at = 0; at < values.length; at++) {
      const value = values[at];
      if (value >= -1 && value <= 1) continue;
      throw new RangeError(
        `Cannot make the data set ${this.name}: every ${split} value must be in [-1, 1], got ${value}`,
      );
    }
    return images;
  }
}

/** The variance of values in [−1, 1] after rescaling to [0, 1]. */
function unitVariance(values: Float32Array): number {
  let sum = 0, squares = 0;
  for (let at = 0; at < values.length; at++) sum += values[at];
  const mean = sum / values.length;
  for (let at = 0; at < values.length; at++) squares += (values[at] - mean) ** 2;
  return squares / values.length / 4;
}

/** Makes a data set of images in memory.
 *
 * ```ts
 * import { memoryDataset } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const train = Float32Array.from({ length: 3 * 64 }, (_, value) => value % 2 === 0 ? -1 : 1);
 * const test = train.slice(0, 64);
 * const dataset = memoryDataset({ name: "stripes", imageShape: [8, 8, 1], train, test });
 * assert.deepEqual(dataset.sizes, { train: 3, test: 1 });
 * assert.equal(dataset.variance, 0.25);
 * ```
 * @throws {RangeError} a side is not a positive integer, a part is empty or has an incomplete image, or a value is not
 * in [−1, 1]
 */
export function memoryDataset(options: MemoryDatasetOptions): Dataset {
  return new MemoryDataset(options);
}
