/** Pairs of images from two folders, made by any program. */
import { readdir } from "node:fs/promises";
import { join, parse } from "node:path";
import { MOST_IMAGE_BYTES, MOST_PIXELS } from "./encoded.ts";
import { loadOnDemand } from "./on_demand.ts";
import { regularSize } from "../files/regular_file.ts";

/** An image on the host. */
export interface DecodedImage {
  /** The values of `[height, width, channels]` in [−1, 1], each a byte's. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Its sides, and 1 channel for grey or 3 for colour. */
  readonly shape: readonly [height: number, width: number, channels: number];
}

/** Two paths that belong together. */
export type PathPair = readonly [original: string, reconstruction: string];

const EXTENSIONS = new Set([".png", ".jpg", ".jpeg"]);

/** Pairs the PNG and JPEG files of two folders: by their names without the extension if every name is in both, else in
 * the order of their names if there are equally many.
 * @throws {Error} a folder cannot be read
 * @throws {RangeError} a folder has no image, or the files cannot be paired
 */
export async function pairImages(
  originals: string,
  reconstructions: string,
): Promise<{ readonly pairs: readonly PathPair[]; readonly matched: "name" | "order" }> {
  const [first, second] = await Promise.all([originals, reconstructions].map(imagesOf));
  const names = (files: readonly string[]) => files.map((file) => parse(file).name);
  const [left, right] = [new Map(), new Map()] as [Map<string, string>, Map<string, string>];
  names(first).forEach((name, at) => left.set(name, first[at]));
  names(second).forEach((name, at) => right.set(name, second[at]));
  const unique = left.size === first.length && right.size === second.length;
  if (unique && left.size === right.size && [...left.keys()].every((name) => right.has(name))) {
    const pairs = [...left].map(([name, file]): PathPair => [
      join(originals, file),
      join(reconstructions, right.get(name)!),
    ]);
    return { pairs, matched: "name" };
  }
  if (first.length !== second.length) {
    throw new RangeError(
      `Cannot pair images: ${originals} and ${reconstructions} must have images of the same names, or equally many, got ${first.length} and ${second.length}`,
    );
  }
  const pairs = first.map((file, at): PathPair => [
    join(originals, file),
    join(reconstructions, second[at]),
  ]);
  return { pairs, matched: "order" };
}

/** The names of a folder's images, sorted by code units, numbers in them as they are written. */
async function imagesOf(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new Error(`Cannot read ${folder}: it must be a folder, got ${cause.message}`, { cause });
  });
  const images = names.filter((name) => EXTENSIONS.has(parse(name).ext.toLowerCase())).sort();
  if (images.length > 0) return images;
  throw new RangeError(
    `Cannot read ${folder}: it must hold PNG or JPEG files, got ${names.length} other entries`,
  );
}

/** The decoder, which is native code: loaded when the first image is read. */
async function loadSharp() {
  return (await loadOnDemand("sharp.ts") as typeof import("./sharp.ts")).sharp;
}

/** Decodes both images of a pair; where one is grey and the other in colour, both are given three channels. An alpha
 * channel is dropped. The limits are those of training: 128 MiB a file and 10⁸ pixels an image.
 * @throws {RangeError} a file is broken or too large, or the images have different sides
 */
export async function decodePair(
  pair: PathPair,
): Promise<readonly [original: DecodedImage, reconstruction: DecodedImage]> {
  const open = await loadSharp();
  const isGrey = await Promise.all(pair.map(async (path) => {
    const size = await regularSize(path).catch(broken(path));
    if (size > MOST_IMAGE_BYTES) throw tooLarge(path, `${MOST_IMAGE_BYTES} bytes`, `${size}`);
    const { width, height, channels = 3 } = await open(path).metadata().catch(broken(path));
    if (width * height > MOST_PIXELS) {
      throw tooLarge(path, `${MOST_PIXELS} pixels`, `${width}×${height}`);
    }
    return channels <= 2;
  }));
  const grey = isGrey.every((one) => one);
  const [original, reconstruction] = await Promise.all(pair.map((path) => decode(path, grey)));
  const [[height, width], [otherHeight, otherWidth]] = [original.shape, reconstruction.shape];
  if (height !== otherHeight || width !== otherWidth) {
    throw new RangeError(
      `Cannot compare ${pair[0]} and ${
        pair[1]
      }: they must have the same sides, got ${height}×${width} and ${otherHeight}×${otherWidth}`,
    );
  }
  return [original, reconstruction];
}

async function decode(path: string, grey: boolean): Promise<DecodedImage> {
  const open = await loadSharp();
  const { data, info } = await open(path, { failOn: "error", limitInputPixels: MOST_PIXELS })
    .removeAlpha()
    .toColourspace(grey ? "b-w" : "srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch(broken(path));
  const values = new Float32Array(data.length);
  for (let at = 0; at < data.length; at++) values[at] = data[at] / 255 * 2 - 1;
  return { values, shape: [info.height, info.width, info.channels] };
}

function tooLarge(path: string, most: string, actual: string): RangeError {
  return new RangeError(`Cannot read ${path}: an image must have at most ${most}, got ${actual}`);
}

function broken(path: string): (cause: Error) => never {
  return (cause) => {
    throw new RangeError(`Cannot read ${path}: it must be a PNG or JPEG, got ${cause.message}`, {
      cause,
    });
  };
}
