/** What a first stage makes of all training images, in memory, so that it runs once for each. */
import type { HostArray } from "../core/backend.ts";
import { withoutGradients } from "../core/execute.ts";
import { philox, type RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";

/** What is kept: nothing; the features or codes of the images as they are, without what the data set draws besides (crops,
 * flips); or of them and of their mirror images, of which each step draws one. */
export const CACHES = ["none", "images", "flips"] as const;

/** One of them. */
export type Cache = typeof CACHES[number];

/** Images encoded at once. */
const BATCH = 64;

/** Features or codes by the images' indices. */
export class CachedEncodings {
  readonly #values: HostArray;
  readonly #shape: readonly number[];
  /** How many images there are, where mirror images lie behind them. */
  readonly #flipped: number | undefined;

  private constructor(values: HostArray, shape: readonly number[], flipped?: number) {
    this.#values = values;
    this.#shape = shape;
    this.#flipped = flipped;
  }

  /** Encodes all training images.
   * @param encode makes images `[B, H, W, C]` something of B rows, float32 or int32
   * @throws {RangeError} they do not lie by index
   */
  static async encode(
    device: Device,
    dataset: Dataset,
    cache: Exclude<Cache, "none">,
    encode: (images: Tensor) => Tensor,
  ): Promise<CachedEncodings> {
    if (dataset.sequence !== undefined) {
      throw new RangeError(
        `Cannot keep what images are encoded to: objective.cache must be none where images do not lie by index, as those of ${dataset.name}, got ${cache}`,
      );
    }
    const { train } = dataset.sizes, flips = cache === "flips";
    let values: HostArray | undefined, shape: readonly number[] = [];
    for (let start = 0; start < train; start += BATCH) {
      const count = Math.min(BATCH, train - start);
      const indices = Int32Array.from({ length: count }, (_, i) => start + i);
      const images = await dataset.images("train", indices);
      const parts = flips ? [images, mirrored(images, dataset)] : [images];
      for (const [part, pixels] of parts.entries()) {
        using _scope = device.scope();
        const tensor = device.tensor(pixels, [count, ...dataset.imageShape]);
        const encoded = withoutGradients(() => encode(tensor));
        shape = encoded.shape.slice(1);
        const size = sizeOf(shape), all = parts.length * train * size;
        const own = encoded.dtype === "float32" ? await encoded.floats() : await encoded.integers();
        values ??= own instanceof Float32Array ? new Float32Array(all) : new Int32Array(all);
        values.set(own, (part * train + start) * size);
      }
    }
    return new CachedEncodings(values!, shape, flips ? train : undefined);
  }

  /** What some images are encoded to, `[B, ...]`.
   * @param key draws which of them are mirrored
   * @param first the place of the first in the batch; 0
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

/** Images with left and right exchanged. */
function mirrored(
  images: Float32Array,
  { imageShape: [, width, channels] }: Dataset,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(images, (_, at) => {
    const channel = at % channels, pixel = (at - channel) / channels, x = pixel % width;
    return images[(pixel - x + width - 1 - x) * channels + channel];
  });
}
