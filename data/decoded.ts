/** Data sets of encoded images with random access. Images are decoded on threads when they are requested. */
import type { RandomKey } from "../core/random.ts";
import { byteVariance, scaleBytes } from "./bytes.ts";
import { BrokenImages } from "./broken.ts";
import { checkIndices, checkLabels, type Dataset, type Split } from "./dataset.ts";
import { BrokenImage, ImageDecoder } from "./decoder.ts";
import { CENTRED, drawPlacement, type EncodedImage } from "./encoded.ts";
import type { DecodedSettings, OpenOptions } from "./kind.ts";

/** The maximum number of training images from which the variance is measured. */
export const MEASURED = 512;

/** Encoded images in a fixed order. */
export interface ImageList {
  /** The number of images. */
  readonly count: number;
  /** The location of an image.
   * @param index in [0, count)
   */
  at(index: number): EncodedImage;
  /** The class of each image; undefined if the classes are not known. */
  readonly labels?: Int32Array;
}

/** Options of `openDecoded`. */
export interface DecodedDatasetOptions {
  /** The name of the data set. */
  readonly name: string;
  /** The images; either both parts have labels, or neither has. */
  readonly parts: Readonly<Record<Split, ImageList>>;
  /** The names of the classes. */
  readonly classes?: readonly string[];
  /** How the images are decoded. */
  readonly settings: DecodedSettings;
}

class DecodedDataset implements Dataset {
  readonly name: string;
  readonly imageShape: readonly [number, number, number];
  readonly sizes: Readonly<Record<Split, number>>;
  readonly labels: Dataset["labels"];
  readonly classes: Dataset["classes"];
  variance = NaN;
  readonly #parts: Readonly<Record<Split, ImageList>>;
  readonly #settings: DecodedSettings;
  readonly #decoder: ImageDecoder;
  readonly #broken: BrokenImages;

  constructor({ name, parts, classes, settings }: DecodedDatasetOptions, options: OpenOptions) {
    const { size, limit, brokenLimit, workers } = settings;
    this.name = name;
    this.imageShape = [size, size, 3];
    const most = limit ?? Infinity;
    this.sizes = {
      train: Math.min(most, parts.train.count),
      test: Math.min(most, parts.test.count),
    };
    const { train, test } = parts;
    if (train.labels !== undefined && test.labels !== undefined) {
      this.labels = {
        train: spreadLabels(train.labels, this.sizes.train),
        test: spreadLabels(test.labels, this.sizes.test),
      };
      checkLabels(this, this.labels, classes);
      this.classes = classes;
    }
    this.#parts = parts;
    this.#settings = settings;
    this.#decoder = new ImageDecoder({ size, background: 255 }, workers);
    this.#broken = new BrokenImages(name, brokenLimit, options);
  }

  /** Measures the variance. */
  async measure(): Promise<this> {
    const count = Math.min(MEASURED, this.sizes.train);
    const indices = Int32Array.from(
      { length: count },
      (_, index) => spread(index, count, this.sizes.train),
    );
    this.variance = byteVariance(await this.#decode("train", indices));
    return this;
  }

  async images(
    split: Split,
    indices: Int32Array,
    key?: RandomKey,
  ): Promise<Float32Array<ArrayBuffer>> {
    checkIndices(this, split, indices);
    const pictures = await this.#decode(split, indices, key);
    const [size] = this.imageShape;
    const values = new Float32Array(indices.length * size * size * 3);
    pictures.forEach((bytes, place) => scaleBytes(bytes, values, place * size * size * 3));
    return values;
  }

  /** Decodes images. The next intact image (of the same class, if there are classes) replaces a broken one. */
  async #decode(split: Split, indices: Int32Array, key?: RandomKey): Promise<Uint8Array[]> {
    const list = this.#parts[split], count = this.sizes[split];
    const chosen = Int32Array.from(indices);
    const decoded: Uint8Array[] = [];
    let waiting = chosen.map((_, place) => place);
    while (waiting.length > 0) {
      const results = await this.#decoder.decode(
        Array.from(waiting, (place) => list.at(spread(chosen[place], count, list.count))),
        Array.from(
          waiting,
          (place) =>
            key === undefined ? CENTRED : drawPlacement(key, chosen[place], this.#settings),
        ),
      );
      const again: number[] = [];
      results.forEach((result, position) => {
        const place = waiting[position];
        if (result instanceof BrokenImage) {
          this.#broken.leaveOut(result);
          chosen[place] = this.#after(split, chosen[place]);
          if (chosen[place] === indices[place]) {
            const own = this.labels?.[split][indices[place]];
            throw this.#broken.allBroken(split, own === undefined ? own : this.classes?.[own]);
          }
          again.push(place);
        } else {
          decoded[place] = result;
        }
      });
      waiting = Int32Array.from(again);
    }
    return decoded;
  }

  /** The next image (of the same class, if there are classes), wrapping around at the end. */
  #after(split: Split, index: number): number {
    const count = this.sizes[split], labels = this.labels?.[split];
    let next = (index + 1) % count;
    while (labels !== undefined && labels[next] !== labels[index]) next = (next + 1) % count;
    return next;
  }
}

/** The labels of `count` images, spread evenly over all. */
function spreadLabels(labels: Int32Array, count: number): Int32Array {
  return Int32Array.from(
    { length: count },
    (_, index) => labels[spread(index, count, labels.length)],
  );
}

/** The position of image `index` if `count` images are spread evenly over `total` positions. */
function spread(index: number, count: number, total: number): number {
  return Math.floor(index * total / count);
}

/** Opens a data set of encoded images: `[size, size, 3]`, with a white background behind transparency. Besides the list,
 * memory holds only the current batches and one image per thread.
 * @throws {Error} a part has no image, or more of the images from which the variance is measured are broken than the
 * limit allows
 */
export async function openDecoded(
  made: DecodedDatasetOptions,
  options: OpenOptions,
): Promise<Dataset> {
  for (const split of ["train", "test"] as const) {
    if (made.parts[split].count > 0) continue;
    throw new Error(`Cannot open ${made.name}: the ${split} part must hold an image, got none`);
  }
  return await new DecodedDataset(made, options).measure();
}
