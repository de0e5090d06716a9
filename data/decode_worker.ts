/** A decoder's worker thread: reads, decodes and crops one image after another, in the order of the requests. */
import { open } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import sharp from "sharp";
import type { DecodeJob, DecodeResult } from "./decoder.ts";
import {
  type EncodedImage,
  type ImageView,
  MOST_IMAGE_BYTES,
  MOST_PIXELS,
  type Placement,
} from "./encoded.ts";
import { regularSize } from "../files/regular_file.ts";

sharp.concurrency(1); // The threads are the workers.
sharp.cache(false); // No image is read twice soon.

async function bytesOf(image: EncodedImage): Promise<Uint8Array> {
  if ("bytes" in image) return image.bytes;
  await regularSize(image.path);
  const file = await open(image.path);
  try {
    const { offset = 0 } = image;
    const length = image.length ?? (await file.stat()).size - offset;
    if (length < 1 || length > MOST_IMAGE_BYTES) {
      throw new RangeError(`it must have 1 to ${MOST_IMAGE_BYTES} bytes, got ${length}`);
    }
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) {
        throw new RangeError(`the file must have ${length} bytes of it, got ${filled}`);
      }
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Scales the shorter side to `size` and crops a square: bytes of `[size, size, 3]`. */
async function decode(
  encoded: Uint8Array,
  { size, background }: ImageView,
  { left, top, mirrored }: Placement,
): Promise<Uint8Array<ArrayBuffer>> {
  const image = sharp(encoded, { failOn: "error", limitInputPixels: MOST_PIXELS });
  const { autoOrient: { width, height } } = await image.metadata();
  const scale = size / Math.min(width, height);
  const [scaledWidth, scaledHeight] = [width, height].map((side) =>
    Math.max(size, Math.round(side * scale))
  );
  if (scaledWidth * scaledHeight > MOST_PIXELS) {
    throw new RangeError(`its sides must differ less, got ${width}×${height}`);
  }
  const place = (play: number, share: number) => Math.min(play, Math.floor((play + 1) * share));
  const { data, info } = await image
    .autoOrient()
    .resize(scaledWidth, scaledHeight, { fit: "fill" })
    .extract({
      left: place(scaledWidth - size, left),
      top: place(scaledHeight - size, top),
      width: size,
      height: size,
    })
    .flatten({ background: { r: background, g: background, b: background } })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  const pixels = new Uint8Array(size * size * 3);
  const { channels } = info; // 1 where the image is grey.
  for (let pixel = 0; pixel < size * size; pixel++) {
    const x = pixel % size;
    const from = (mirrored ? pixel - x + size - 1 - x : pixel) * channels;
    for (let channel = 0; channel < 3; channel++) {
      pixels[3 * pixel + channel] = data[from + (channels < 3 ? 0 : channel)];
    }
  }
  return pixels;
}

async function work({ job, image, placement }: DecodeJob): Promise<void> {
  const post = (result: DecodeResult, transfer: ArrayBuffer[] = []) =>
    parentPort!.postMessage(result, transfer);
  try {
    const pixels = await decode(await bytesOf(image), workerData as ImageView, placement);
    post({ job, pixels }, [pixels.buffer]);
  } catch (error) {
    post({ job, problem: error instanceof Error ? error.message : String(error) });
  }
}

let last: Promise<void> = Promise.resolve();
parentPort!.on("message", (job: DecodeJob) => {
  last = last.then(() => work(job));
});
