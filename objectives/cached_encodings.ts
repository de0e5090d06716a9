/** The first stage's encodings of all training images, kept in memory or in a file so that it encodes each image only
 * once. */
import { createHash } from "node:crypto";
import type { HostArray } from "../core/backend.ts";
import { withoutGradients } from "../core/execute.ts";
import { philox, type RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { FirstStage } from "../models/first_stage.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { type EncodedRows, openEncodings, type RowStore } from "./encodings_file.ts";

/** What to cache: nothing; the features or codes of the images as they are, without the random augmentation of the data
 * set (crops, flips); or those of the images and of their mirror images. In the last case each step draws one of the
 * two. */
export const CACHES = ["none", "images", "flips"] as const;

/** The name of a cache. */
export type Cache = typeof CACHES[number];

/** Where to cache: in the memory of the process, or in a file of the user's cache folder, which is read batch by batch
 * and shared by all runs over the same first stage and images. */
export const CACHE_PLACES = ["memory", "file"] as const;

/** The name of a place. */
export type CachePlace = typeof CACHE_PLACES[number];

/** How many images are encoded at once. */
const BATCH = 64;

/** What is cached, and where. */
export interface CachedEncodingsOptions {
  /** The first stage. */
  readonly stage1: FirstStage;
  /** The images. */
  readonly dataset: Dataset;
  /** Which images. */
  readonly cache: Exclude<Cache, "none">;
  /** Where; by default in memory. */
  readonly cacheIn?: CachePlace;
  /** Maps images `[B, H, W, C]` to a tensor with B rows, float32 or int32. */
  readonly encode: (images: Tensor) => Tensor;
  /** The processes that train together; by default one. */
  readonly replicas?: Replicas;
  /** Called with messages about the file. */
  readonly onMessage?: (message: string) => void;
}

/** The features or codes of images, by the images' indices. */
export class CachedEncodings implements Disposable {
  readonly #store: RowStore;
  /** The number of images, if their mirror images follow them. */
  readonly #flipped: number | undefined;

  private constructor(store: RowStore, flipped: number | undefined) {
    this.#store = store;
    this.#flipped = flipped;
  }

  /** Encodes all training images, unless a file already holds their encodings. With several processes, each encodes a
   * part and gets all encodings; only one of them makes the file.
   * @throws {RangeError} the images cannot be read by index
   * @throws {Error} the file cannot be written
   */
  static async open(device: Device, options: CachedEncodingsOptions): Promise<CachedEncodings> {
    const { dataset, cache, cacheIn = "memory", replicas = SINGLE, onMessage = () => {} } = options;
    if (dataset.sequence !== undefined) {
      throw new RangeError(
        `Cannot cache encoded images: objective.cache must be none for a data set that is not read by index, such as ${dataset.name}, got ${cache}`,
      );
    }
    const flipped = cache === "flips" ? dataset.sizes.train : undefined;
    const rows = dataset.sizes.train + (flipped ?? 0);
    const encode = () => encodeAll(device, options, SINGLE);
    const store = cacheIn === "memory"
      ? await inMemory(rows, encodeAll(device, options, replicas))
      : await openEncodings({ key: await keyOf(device, options), rows, encode, onMessage });
    return new CachedEncodings(store, flipped);
  }

  /** The encodings of some images, `[B, ...]`.
   * @param key the key for the choice of mirrored images
   * @param first the position of the first image in the batch; by default 0
   */
  read(device: Device, indices: Int32Array, key: RandomKey, first: number = 0): Tensor {
    const words = new Uint32Array(4);
    const rows = Array.from(indices, (index, place) => {
      philox(key, first + place, 0, words);
      return this.#flipped === undefined || words[0] % 2 === 0 ? index : index + this.#flipped;
    });
    return device.tensor(this.#store.read(rows), [indices.length, ...this.#store.shape]);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]();
  }
}

/** What an objective caches, and where. */
export interface CacheOptions extends Omit<CachedEncodingsOptions, "cache"> {
  /** Which images; by default none. */
  readonly cache?: Cache;
}

/** Opens the cache of an objective; `undefined` if it caches nothing.
 * @throws {RangeError} as `CachedEncodings.open`
 * @throws {Error} as `CachedEncodings.open`
 */
export async function openCache(
  device: Device,
  { cache = "none", ...options }: CacheOptions,
): Promise<CachedEncodings | undefined> {
  return cache === "none" ? undefined : await CachedEncodings.open(device, { ...options, cache });
}

/** Encodes all training images batch by batch. The rows of mirror images follow those of all images. */
async function* encodeAll(
  device: Device,
  { dataset, cache, encode }: CachedEncodingsOptions,
  replicas: Replicas,
): AsyncGenerator<EncodedRows> {
  const { train } = dataset.sizes;
  const gathered = (images: Tensor) => replicas.gather(encode(images));
  for (let start = 0; start < train; start += BATCH * replicas.count) {
    const all = Math.min(BATCH * replicas.count, train - start);
    const count = Math.ceil(all / replicas.count), first = start + replicas.rank * count;
    // Every process needs the same number of rows, so the last image is repeated at the end.
    const indices = Int32Array.from({ length: count }, (_, at) => Math.min(first + at, train - 1));
    const images = await dataset.images("train", indices);
    const parts = cache === "flips" ? [images, mirrored(images, dataset)] : [images];
    for (const [part, pixels] of parts.entries()) {
      const { shape, values } = await encodeBatch(device, dataset, gathered, pixels);
      const whole = values.subarray(0, all * sizeOf(shape)) as HostArray;
      yield { row: part * train + start, shape, values: whole };
    }
  }
}

async function encodeBatch(
  device: Device,
  { imageShape }: Dataset,
  encode: (images: Tensor) => Tensor,
  pixels: Float32Array<ArrayBuffer>,
): Promise<Omit<EncodedRows, "row">> {
  using _scope = device.scope();
  const images = device.tensor(pixels, [pixels.length / sizeOf(imageShape), ...imageShape]);
  const encoded = withoutGradients(() => encode(images));
  const values = encoded.dtype === "float32" ? await encoded.floats() : await encoded.integers();
  return { shape: encoded.shape.slice(1), values };
}

async function inMemory(rows: number, encoded: AsyncIterable<EncodedRows>): Promise<RowStore> {
  let all: HostArray | undefined, shape: readonly number[] = [];
  const like = (values: HostArray, length: number) =>
    values instanceof Float32Array ? new Float32Array(length) : new Int32Array(length);
  for await (const { row, values, ...one } of encoded) {
    shape = one.shape;
    all ??= like(values, rows * sizeOf(shape));
    all.set(values, row * sizeOf(shape));
  }
  const whole = all!, size = sizeOf(shape);
  return {
    shape,
    read(rows) {
      const values = like(whole, rows.length * size);
      rows.forEach((row, place) =>
        values.set(whole.subarray(row * size, (row + 1) * size), place * size)
      );
      return values;
    },
    [Symbol.dispose]: () => {},
  };
}

/** Everything that the encodings depend on: the data set, the weights and the device. The encodings of some images stand
 * for everything else, such as the quantiser's settings. */
async function keyOf(
  device: Device,
  { stage1, dataset, cache, encode }: CachedEncodingsOptions,
): Promise<string> {
  const { name, imageShape, sizes: { train }, variance } = dataset;
  const count = Math.min(BATCH, train);
  const indices = Int32Array.from({ length: count }, (_, at) => Math.floor(at * train / count));
  const images = await dataset.images("train", indices);
  const { values } = await encodeBatch(device, dataset, encode, images);
  const weights = createHash("sha256");
  for (const [name, { shape, values }] of await stage1.network.stateDictionary()) {
    weights.update(JSON.stringify([name, shape])).update(bytesOf(values));
  }
  return JSON.stringify({
    ...{ dataset: name, imageShape, images: train, variance, cache },
    ...{ device: `${device.name}: ${device.description}`, precision: device.precision },
    weights: weights.digest("hex"),
    some: createHash("sha256").update(bytesOf(images)).update(bytesOf(values)).digest("hex"),
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: HostArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
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
