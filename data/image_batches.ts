/** Images of a folder for a model: uncropped, in batches of one size. */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { findImages } from "./folder.ts";
import { BrokenFileError, decodeImage, openImage } from "./image_file.ts";

/** An image that was found, and the part of it for the model. */
export interface FoundImage {
  /** Its path relative to the folder, with `/` between names. */
  readonly name: string;
  /** The file. */
  readonly path: string;
  /** The height of the part for the model. */
  readonly height: number;
  /** The width of the part for the model. */
  readonly width: number;
  /** Whether it has no colour. */
  readonly isGrey: boolean;
}

/** Images of the same size on the host. */
export interface ImageBatch {
  /** The files of the images. */
  readonly images: readonly FoundImage[];
  /** The values of `shape`, in [−1, 1]. */
  readonly values: Float32Array<ArrayBuffer>;
  /** The number of images and their size. */
  readonly shape: readonly [count: number, height: number, width: number, channels: number];
}

/** What to do with images that a model cannot accept unchanged. */
export interface ImageRules {
  /** The divisor of the sides. */
  readonly divisor: number;
  /** Whether to crop images to the largest central part with such sides. */
  readonly crop: boolean;
  /** Called for each file that cannot be decoded; the file is then skipped. Without it, the error is thrown. */
  readonly onBroken?: (error: BrokenFileError) => void;
}

/** How many headers are read at a time. */
const HEADERS = 16;
/** The default limits of a batch: pixels and images. */
const BATCH_PIXELS = 2 ** 20, BATCH_IMAGES = 128;

/** Lists the images of a folder and its subfolders, or a single image. Only their headers are read.
 * @param path the folder, searched as `findImages` does, or the image
 * @param signal ends the search
 * @throws {Error} there is nothing at the path, or it cannot be read
 * @throws {RangeError} there is no image, one is broken, or its sides are not divisible
 */
export async function listImages(
  path: string,
  rules: ImageRules,
  signal?: AbortSignal,
): Promise<{ readonly folder: string; readonly images: readonly FoundImage[] }> {
  const found = await stat(path).catch((cause: Error) => {
    throw new Error(`Cannot read ${path}: it must be a folder or an image, got ${cause.message}`, {
      cause,
    });
  });
  const folder = found.isDirectory() ? path : dirname(path);
  const names = found.isDirectory() ? await findImages(path) : [basename(path)];
  const images: FoundImage[] = [];
  for (let start = 0; start < names.length && !signal?.aborted; start += HEADERS) {
    const part = names.slice(start, start + HEADERS);
    const opened = await Promise.all(part.map((name) => inspect(folder, name, rules)));
    images.push(...opened.filter((image) => image !== undefined));
  }
  if (images.length === 0 && !signal?.aborted) {
    throw new RangeError(
      `Cannot read ${path}: it must hold images (PNG, JPEG, WebP, GIF, TIFF, AVIF), got ${
        names.length === 0 ? "none" : "only broken ones"
      }`,
    );
  }
  return { folder, images };
}

/** Groups items by size, in the order in which the sizes first appear, and splits the groups into batches.
 *
 * ```ts
 * import { batchesBySize } from "./image_batches.ts";
 * import assert from "node:assert/strict";
 * const [a, b, c] = [8, 4, 8].map((side) => ({ height: side, width: side }));
 * assert.deepEqual(batchesBySize([a, b, c], 2), [[a, c], [b]]);
 * ```
 * @param batchSize images per batch; null: about a million pixels, at most 128 images
 */
export function batchesBySize<Item extends { readonly height: number; readonly width: number }>(
  items: readonly Item[],
  batchSize: number | null,
): Item[][] {
  const groups = Map.groupBy(items, ({ height, width }) => `${height}×${width}`);
  return [...groups.values()].flatMap((group) => {
    const fitting = Math.floor(BATCH_PIXELS / (group[0].height * group[0].width));
    const size = batchSize ?? Math.min(BATCH_IMAGES, Math.max(1, fitting));
    return Array.from(
      { length: Math.ceil(group.length / size) },
      (_, batch) => group.slice(batch * size, (batch + 1) * size),
    );
  });
}

/** Decodes a batch of images of the same size. Transparent images get a white background, as in training.
 * @returns undefined if all of them are broken and were skipped
 * @throws {RangeError} an image is broken, or has changed meanwhile
 */
export async function readBatch(
  images: readonly FoundImage[],
  channels: 1 | 3,
  { onBroken }: Pick<ImageRules, "onBroken">,
): Promise<ImageBatch | undefined> {
  const decoded = await Promise.all(
    images.map((image) => leavingOut(read(image, channels), onBroken)),
  );
  const whole = images.filter((_, at) => decoded[at] !== undefined);
  if (whole.length === 0) return undefined;
  const [{ height, width }] = whole;
  const size = height * width * channels;
  const values = new Float32Array(whole.length * size);
  decoded.filter((one) => one !== undefined).forEach((one, at) => values.set(one, at * size));
  return { images: whole, values, shape: [whole.length, height, width, channels] };
}

/** Waits for a promise; returns undefined if the file is broken and may be skipped. */
async function leavingOut<T>(
  promise: Promise<T>,
  onBroken: ImageRules["onBroken"],
): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof BrokenFileError) || onBroken === undefined) throw error;
    onBroken(error);
    return undefined;
  }
}

async function inspect(
  folder: string,
  name: string,
  { divisor, crop, onBroken }: ImageRules,
): Promise<FoundImage | undefined> {
  const path = join(folder, name);
  const opened = await leavingOut(openImage(path), onBroken);
  if (opened === undefined) return undefined;
  const [height, width] = [opened.height, opened.width].map((side) => side - side % divisor);
  const fits = height === opened.height && width === opened.width;
  if (height === 0 || width === 0 || !fits && !crop) {
    const hint = crop ? "" : "; --crop takes the largest central part that is";
    throw new RangeError(
      `Cannot encode ${path}: the sides of an image must be ${
        crop ? "at least" : "divisible by"
      } ${divisor}, got ${opened.height}×${opened.width} (height×width)${hint}`,
    );
  }
  return { name, path, height, width, isGrey: opened.isGrey };
}

/** The values of the central part. */
async function read(
  { path, height, width }: FoundImage,
  channels: 1 | 3,
): Promise<Float32Array> {
  const { image } = await openImage(path);
  const flat = image.flatten({ background: "#ffffff" });
  const { values, shape: [tall, wide] } = await decodeImage(path, flat, channels);
  if (tall < height || wide < width) {
    throw new BrokenFileError(
      path,
      `it must still have ${height}×${width} pixels`,
      `${tall}×${wide}: it was changed meanwhile`,
    );
  }
  if (tall === height && wide === width) return values;
  const [top, left] = [Math.floor((tall - height) / 2), Math.floor((wide - width) / 2)];
  const part = new Float32Array(height * width * channels);
  for (let row = 0; row < height; row++) {
    const from = ((top + row) * wide + left) * channels;
    part.set(values.subarray(from, from + width * channels), row * width * channels);
  }
  return part;
}
