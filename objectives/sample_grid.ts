/** Pictures of a model's reconstructions: originals above reconstructions. */
import { MOST_PIXELS } from "../data/encoded.ts";
import { type PngPixels, readPng } from "../data/formats/png.ts";
import { type Corner, Picture } from "./picture.ts";

/** Originals and reconstructions of the same images. */
export interface Samples {
  /** The values of `[count, height, width, channels]` in [−1, 1], row-major. */
  readonly originals: Float32Array;
  /** The reconstructions in the same shape; values outside [−1, 1] are clipped. */
  readonly reconstructions: Float32Array;
  /** Height, width and channels of every image. */
  readonly imageShape: readonly [height: number, width: number, channels: number];
}

/** The number of pairs of images per row. */
const COLUMNS = 8;
/** Small images are enlarged by the largest whole factor that keeps their longer side within this many pixels. */
const SHOWN_SIDE = 96;
const MARGIN = 4;
/** The value of the pixels of the margin, a light grey. */
const BACKGROUND = 224;

/** Draws rows of eight images, with the reconstructions under each row, as a PNG. Small images are enlarged by a whole
 * factor. Images with 3 channels are drawn in RGB, others in grey from their first channel.
 *
 * ```ts
 * import { drawSampleGrid } from "@codebook/codebook";
 * const originals = Float32Array.of(-1, 1, 1, -1);
 * const reconstructions = Float32Array.of(-0.9, 0.8, 0.9, -1.1);
 * const png = drawSampleGrid({ originals, reconstructions, imageShape: [2, 2, 1] });
 * console.log(`${png.length} bytes`);
 * ```
 * @returns the PNG's bytes
 * @throws {TypeError} originals and reconstructions do not hold the same whole number of images, at least one
 */
export function drawSampleGrid(
  { originals, reconstructions, imageShape }: Samples,
): Uint8Array<ArrayBuffer> {
  const [height, width, channels] = imageShape;
  const size = height * width * channels;
  const count = originals.length / size;
  if (count < 1 || !Number.isInteger(count) || reconstructions.length !== originals.length) {
    throw new TypeError(
      `Cannot draw samples: both parts must hold the same whole number of images of ${size} values, got ${originals.length} and ${reconstructions.length} values`,
    );
  }
  const { scale, width: totalWidth, height: totalHeight, corners } = layout(count, imageShape);
  const picture = new Picture(totalHeight, totalWidth, channels === 3 ? 3 : 1, BACKGROUND);
  corners.forEach((pair, image) => {
    [originals, reconstructions].forEach((values, below) => {
      const part = values.subarray(image * size, (image + 1) * size);
      picture.paint(part, imageShape, pair[below], scale);
    });
  });
  return picture.png();
}

/** Reads the images back from a grid. Their values have 8 bits. Images that do not have 3 channels come back with their
 * first channel only.
 *
 * ```ts
 * import { drawSampleGrid, readSampleGrid } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const originals = Float32Array.of(-1, 1, 1, -1);
 * const png = drawSampleGrid({ originals, reconstructions: originals, imageShape: [2, 2, 1] });
 * assert.deepEqual(readSampleGrid(png, 1, [2, 2, 1]).originals, originals);
 * ```
 * @param count the number of images in the grid, without their reconstructions
 * @throws {TypeError} the grid does not have this number of images with this shape
 */
export function readSampleGrid(
  png: Uint8Array,
  count: number,
  imageShape: Samples["imageShape"],
): Samples {
  const { scale, corners, width, height } = layout(count, imageShape);
  const name = `samples, ${count} images of [${imageShape.join(", ")}] in a grid`;
  let pixels: PngPixels;
  try {
    if (width * height > MOST_PIXELS) throw new RangeError(`${width}×${height} pixels`);
    pixels = readPng(png, width, height, name);
  } catch (cause) {
    throw new TypeError((cause as Error).message, { cause });
  }
  const { data, channels } = pixels;
  const [tall, wide] = imageShape;
  const read = (below: 0 | 1) =>
    Float32Array.from({ length: count * tall * wide * channels }, (_, at) => {
      const [pixel, channel] = [Math.floor(at / channels), at % channels];
      const [top, left] = corners[Math.floor(pixel / (tall * wide))][below];
      const y = top + scale * (Math.floor(pixel / wide) % tall), x = left + scale * (pixel % wide);
      return data[(y * width + x) * channels + channel] / 127.5 - 1;
    });
  return { originals: read(0), reconstructions: read(1), imageShape: [tall, wide, channels] };
}

/** The size of a grid, the factor by which its images are enlarged, and the corner of each image and its
 * reconstruction. */
function layout(count: number, [height, width]: Samples["imageShape"]): {
  readonly scale: number;
  readonly width: number;
  readonly height: number;
  readonly corners: readonly (readonly [original: Corner, reconstruction: Corner])[];
} {
  const scale = Math.max(1, Math.floor(SHOWN_SIDE / Math.max(height, width)));
  const columns = Math.min(COLUMNS, count), rows = 2 * Math.ceil(count / columns);
  const [tall, wide] = [height * scale + MARGIN, width * scale + MARGIN];
  const corner = (row: number, column: number): Corner => [
    MARGIN + row * tall,
    MARGIN + column * wide,
  ];
  return {
    scale,
    width: columns * wide + MARGIN,
    height: rows * tall + MARGIN,
    corners: Array.from({ length: count }, (_, image) => {
      const row = 2 * Math.floor(image / columns), column = image % columns;
      return [corner(row, column), corner(row + 1, column)];
    }),
  };
}
