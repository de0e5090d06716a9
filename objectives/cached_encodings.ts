/** The first stage's encodings of all training images, kept in memory so that it encodes each image only once. */
import type { HostArray } from "../core/backend.ts";
import { withoutGradients } from "../core/execute.ts";
import { philox, type RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";

/** What to cache: nothing; the features or codes of the images as they are, without the random augmentation of the data
 * set (crops, flips); or those of the images and of their mirror images. In the last case each step draws one of the
 * two. */
export const CACHES = ["none", "images", "flips"] as const;

/** The name of a cache. */
export type Cache = typeof CACHES[number];

/** How many images are encoded at once. */
const BATCH = 64;

/** The features or codes of images, by the images' indices. */
export class CachedEncodings {
  readonly #values: HostArray;
  readonly #shape: readonly number[];
  /** The number of images, if their mirror images follow them. */
  readonly #flipped: number | undefined;

  private constructor(values: HostArray, shape: readonly number[], flipped?: number) {
    this.#values = values;
    this.#shape = shape;
    this.#flipped = flipped;
  }

  /** Encodes all training images. Several processes encode a part each, and every one gets all.
   * @param encode maps images `[B, H, W, C]` to a tensor with B rows, float32 or int32
   * @throws {RangeError} the images cannot be read by index
   */
  static async encode(
    device: Device,
    dataset: Dataset,
    cache: Exclude<Cache, "none">,
    encode: (images: Tensor) => Tensor,
    replicas: Replicas = SINGLE,
  ): Promise<CachedEncodings> {
    if (dataset.sequence !== undefined) {
      throw new RangeError(
        `Cannot cache encoded images: objective.cache must be none for a data set that is not read by index, such as ${dataset.name}, got ${cache}`,
      );
    }
    const { train } = dataset.sizes, flips = cache === "flips";
    let values: HostArray | undefined, shape: readonly number[] = [];
    for (let start = 0; start < train; start += BATCH * replicas.count) {
      const all = Math.min(BATCH * replicas.count, train - start);
      const count = Math.ceil(all / replicas.count), first = start + replicas.rank * count;
      // Every process has as many rows; what is over at the end is the last image once more.
      const indices = Int32Array.from({ length: count }, (_, i) => Math.min(first + i, train - 1));
      const images = await dataset.images("train", indices);
      const parts = flips ? [images, mirrored(images, dataset)] : [images];
      for (const [part, pixels] of parts.entries()) {
        using _scope = device.scope();
        const tensor = device.tensor(pixels, [count, ...dataset.imageShape]);
        const encoded = replicas.gather(withoutGradients(() => encode(tensor)));
        shape = encoded.shape.slice(1);
        const size = sizeOf(shape), room = parts.length * train * size;
        const rows = encoded.dtype === "float32"
          ? await encoded.floats()
          : await encoded.integers();
        values ??= rows instanceof Float32Array ? new Float32Array(room) : new Int32Array(room);
        values.set(rows.subarray(0, all * size), (part * train + start) * size);
      }
    }
    return new CachedEncodings(values!, shape, flips ? train : undefined);
  }

  /** The encodings of some images, `[B, ...]`.
   * @param key the key for the choice of mirrored images
   * @param first the position of the first image in the batch; by default 0
   */
  read(device: Device, indices: Int32Array, key: RandomKey, first: number = 0): Tensor {
    const size = sizeOf(this.#shape), words = new Uint32Array(4);
    const all = indices.length * size;
    const values = this.#values instanceof Float32Array
      ? new Float32Array(all)
      : new Int32Array(all);
    indices.forEach((index, place) => {
      philox(key, first + place, 0, words);
      const row = this.#flipped === undefined || words[0] % 2 === 0 ? index : index + this.#flipped;
      values.set(this.#values.subarray(row * size, (row + 1) * size), place * size);
    });
    return device.tensor(values, [indices.length, ...this.#shape]);
  }
}

/** Mirrors images: swaps left and right. */
function mirrored(
  images: Float32Array,
  { imageShape: [, width, channels] }: Dataset,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(images, (_, at) => {
    const channel = at % channels, pixel = (at - channel) / channels, x = pixel % width;
    return images[(pixel - x + width - 1 - x) * channels + channel];
  });
}
