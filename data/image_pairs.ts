/** Pairs of images from two folders, from any program. */
import { readdir } from "node:fs/promises";
import { join, parse } from "node:path";
import { type DecodedImage, decodeImage, openImage } from "./image_file.ts";

export type { DecodedImage };

/** The paths of a pair. */
export type PathPair = readonly [original: string, reconstruction: string];

const EXTENSIONS = new Set([".png", ".jpg", ".jpeg"]);

/** The file that `reconstruct` writes beside the images; it is not an image of a pair. */
const GRID = "grid.png";

/** Pairs the PNG and JPEG files of two folders: by their names without the extension if every name is in both folders,
 * otherwise in the order of their names if both folders have the same number of files.
 * @throws {Error} a folder cannot be read
 * @throws {RangeError} a folder has no image, or the files cannot be paired
 */
export async function pairImages(
  originals: string,
  reconstructions: string,
): Promise<{ readonly pairs: readonly PathPair[]; readonly matched: "name" | "order" }> {
  const [first, found] = await Promise.all([originals, reconstructions].map(imagesOf));
  const second = first.includes(GRID) ? found : found.filter((name) => name !== GRID);
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

/** The names of a folder's images, sorted by code units; numbers in names are not treated specially. */
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

/** Decodes both images of a pair. If one is grey and the other in colour, both get three channels. An alpha channel is
 * dropped. The limits are those of training: 128 MiB per file and 10⁸ pixels per image.
 * @throws {RangeError} a file is broken or too large, or the images have different sides
 */
export async function decodePair(
  pair: PathPair,
): Promise<readonly [original: DecodedImage, reconstruction: DecodedImage]> {
  const opened = await Promise.all(pair.map(openImage));
  const channels = opened.every(({ isGrey }) => isGrey) ? 1 : 3;
  const [original, reconstruction] = await Promise.all(
    opened.map(({ image }, at) => decodeImage(pair[at], image.removeAlpha(), channels)),
  );
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
