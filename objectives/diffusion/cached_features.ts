/** The features of all training images, in memory, so that the first stage runs once for each. */
import { philox, type RandomKey } from "../../core/random.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Dataset } from "../../data/dataset.ts";
import type { FirstStage } from "../../models/first_stage.ts";

/** What is kept: nothing; the features of the images as they are, without what the data set draws besides (crops,
 * flips); or of them and of their mirror images, of which each step draws one. */
export const CACHES = ["none", "images", "flips"] as const;

/** One of them. */
export type Cache = typeof CACHES[number];

/** Images encoded at once. */
const BATCH = 64;

/** Features by the images' indices. */
export class CachedFeatures {
  readonly #values: Float32Array;
  readonly #shape: readonly number[];
  /** How many images there are, where mirror images lie behind them. */
  readonly #flipped: number | undefined;

  private constructor(values: Float32Array, shape: readonly number[], flipped?: number) {
    this.#values = values;
    this.#shape = shape;
    this.#flipped = flipped;
  }

  /** Encodes all training images.
   * @throws {RangeError} they do not lie by index
   */
  static async encode(
    device: Device,
    stage: FirstStage,
    dataset: Dataset,
    cache: Exclude<Cache, "none">,
  ): Promise<CachedFeatures> {
    if (dataset.sequence !== undefined) {
      throw new RangeError(
        `Cannot keep features: objective.cache must be none where images do not lie by index, as those of ${dataset.name}, got ${cache}`,
      );
    }
    const { train } = dataset.sizes, flips = cache === "flips";
    let values = new Float32Array(), shape: readonly number[] = [];
    for (let start = 0; start < train; start += BATCH) {
      const indices = Int32Array.from(
        { length: Math.min(BATCH, train - start) },
        (_, i) => start + i,
      );
      const images = await dataset.images("train", indices);
      for (
        const [behind, pixels] of [[0, images], [
          train,
          flips && mirrored(images, dataset),
        ]] as const
      ) {
        if (pixels === false) continue;
        using _scope = device.scope();
        const features = stage.features(
          device.tensor(pixels, [indices.length, ...dataset.imageShape]),
        );
        shape = features.shape.slice(1);
        const size = sizeOf(shape);
        if (values.length === 0) values = new Float32Array((flips ? 2 : 1) * train * size);
        values.set(await features.floats(), (behind + start) * size);
      }
    }
    return new CachedFeatures(values, shape, flips ? train : undefined);
  }

  /** The features of some images, float32 `[B, h, w, D]`.
   * @param key draws which of them are mirrored
   */
  read(device: Device, indices: Int32Array, key: RandomKey): Tensor {
    const size = sizeOf(this.#shape), words = new Uint32Array(4);
    const values = new Float32Array(indices.length * size);
    indices.forEach((index, place) => {
      philox(key, place, 0, words);
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
