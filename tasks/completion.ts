/** Reads images of which a generator completes the hidden part. */
import type { Device } from "../core/tensor.ts";
import { batchesBySize, listImages, readBatch } from "../data/image_batches.ts";
import { decodeImage, openImage } from "../data/image_file.ts";
import { CodeGenerator } from "../objectives/code_generator.ts";
import type { Generator, Given } from "../objectives/generator.ts";
import { UsageError } from "./fail.ts";

/** Named masks: the half of the image that is given. */
export const HALVES = ["top", "bottom", "left", "right"] as const;

/** Options of a completion. */
export interface CompletionOptions {
  /** A folder of images, or one image. */
  readonly images: string;
  /** One of `HALVES`, or the path of a picture of the images' size, whose white pixels are given. */
  readonly mask: string;
  /** Completions of each image. */
  readonly each: number;
}

/** Reads the images and the mask. Hidden pixels become grey before the images are encoded, so that neighbouring codes
 * contain no information about them.
 * @returns the given part of every completion; `shown`: the pixels of every image with grey where they are generated
 * @throws {RangeError} an image or the mask does not have the size of the generator's images
 */
export async function readCompletion(
  device: Device,
  generator: Generator,
  [height, width, channels]: readonly [height: number, width: number, channels: number],
  { images: path, mask, each }: CompletionOptions,
): Promise<{ readonly given: Given; readonly shown: readonly Float32Array[] }> {
  if (!(generator instanceof CodeGenerator)) {
    throw new UsageError(
      "Cannot complete images: the generator must make codes (autoregression or masking), got another kind",
    );
  }
  const known = await readMask(mask, height, width);
  const { images } = await listImages(path, { divisor: 1, crop: false });
  const other = images.find((image) => image.height !== height || image.width !== width);
  if (other !== undefined) {
    throw new RangeError(
      `Cannot complete ${other.name}: the images must be ${height}×${width}, as the run's are, got ${other.height}×${other.width}`,
    );
  }
  const shown: Float32Array[] = [], size = height * width * channels;
  for (const part of batchesBySize(images, null)) {
    const batch = await readBatch(part, channels === 1 ? 1 : 3, {});
    if (batch === undefined) continue;
    for (let image = 0; image < batch.images.length; image++) {
      const own = batch.values.slice(image * size, (image + 1) * size);
      for (let at = 0; at < size; at++) if (known[Math.floor(at / channels)] === 0) own[at] = 0;
      shown.push(own);
    }
  }
  const count = shown.length * each;
  const all = new Float32Array(count * size), pixels = new Uint8Array(count * height * width);
  for (let completion = 0; completion < count; completion++) {
    all.set(shown[Math.floor(completion / each)], completion * size);
    pixels.set(known, completion * height * width);
  }
  return { given: await generator.given(device, all, pixels), shown };
}

/** `[height, width]`: 1 where a pixel is given. */
async function readMask(mask: string, height: number, width: number): Promise<Uint8Array> {
  const inHalf: Readonly<Record<string, (y: number, x: number) => boolean>> = {
    top: (y) => y < height / 2,
    bottom: (y) => y >= height / 2,
    left: (_, x) => x < width / 2,
    right: (_, x) => x >= width / 2,
  };
  const half = Object.hasOwn(inHalf, mask) ? inHalf[mask] : undefined;
  const pixels = new Uint8Array(height * width);
  if (half !== undefined) {
    return pixels.map((_, at) => half(Math.floor(at / width), at % width) ? 1 : 0);
  }
  const opened = await openImage(mask);
  if (opened.height !== height || opened.width !== width) {
    throw new RangeError(
      `Cannot take ${mask} as a mask: it must be ${height}×${width}, as the run's images are, got ${opened.height}×${opened.width}`,
    );
  }
  const { values } = await decodeImage(mask, opened.image, 1);
  return pixels.map((_, at) => values[at] > 0 ? 1 : 0);
}
