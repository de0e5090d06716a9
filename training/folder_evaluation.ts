/** Measures the images of one folder against those of another. */
import { type DecodedImage, decodePair, type PathPair } from "../data/image_pairs.ts";
import { sameShape } from "../core/shape.ts";
import type { Images } from "../metrics/images.ts";
import type { ImageEvaluation } from "./image_evaluation.ts";

/** The largest number of pairs that are decoded and measured together. */
const BATCH = 16;

/** Adds all pairs to an evaluation, in batches of images with one shape.
 * @returns the shape of the images, or null if there are several shapes
 * @throws {RangeError} a file is broken, or the images of a pair have different sides
 */
export async function addFolders(
  evaluation: ImageEvaluation,
  pairs: readonly PathPair[],
): Promise<readonly number[] | null> {
  let common: readonly number[] | null | undefined;
  for (let start = 0; start < pairs.length; start += BATCH) {
    const decoded = await Promise.all(pairs.slice(start, start + BATCH).map(decodePair));
    for (let from = 0; from < decoded.length;) {
      const { shape } = decoded[from][0];
      const other = decoded.findIndex(([image], at) => at > from && !sameShape(image.shape, shape));
      const run = decoded.slice(from, other < 0 ? undefined : other);
      await evaluation.add(
        joined(run.map(([image]) => image)),
        joined(run.map(([, image]) => image)),
      );
      if (common === undefined) common = shape;
      else if (common !== null && !sameShape(common, shape)) common = null;
      from += run.length;
    }
  }
  return common ?? null;
}

function joined(images: readonly DecodedImage[]): Images {
  const [{ shape, values: { length } }] = images;
  const values = new Float32Array(images.length * length);
  images.forEach((image, at) => values.set(image.values, at * length));
  return { values, shape: [images.length, ...shape] };
}
