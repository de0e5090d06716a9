/** A picture of many images. */
import { type ImageShape, Picture } from "./picture.ts";

/** Small images are enlarged by the greatest whole factor that keeps their longer side within so many pixels. */
const SHOWN_SIDE = 96;
const MARGIN = 4;
/** Of a pixel of the margin, a light grey. */
const BACKGROUND = 224;

/** Draws images in rows, as a PNG: RGB where they have 3 channels, else grey, of the first channel.
 *
 * ```ts
 * import { drawImageGrid } from "@codebook/codebook";
 * const png = drawImageGrid(Float32Array.of(-1, 1, 1, -1), [2, 1, 1], 2);
 * console.log(`${png.length} bytes`);
 * ```
 * @param images the values of `[count, height, width, channels]` in [−1, 1], row-major
 * @param columns images a row, at most
 * @throws {TypeError} they are not the values of whole images, at least one
 */
export function drawImageGrid(
  images: Float32Array,
  imageShape: ImageShape,
  columns: number,
): Uint8Array<ArrayBuffer> {
  const [height, width, channels] = imageShape;
  const size = height * width * channels, count = images.length / size;
  if (count < 1 || !Number.isInteger(count)) {
    throw new TypeError(
      `Cannot draw images: there must be a whole number of images of ${size} values, got ${images.length} values`,
    );
  }
  const scale = Math.max(1, Math.floor(SHOWN_SIDE / Math.max(height, width)));
  const [tall, wide] = [height * scale + MARGIN, width * scale + MARGIN];
  const across = Math.min(columns, count), down = Math.ceil(count / across);
  const picture = new Picture(
    down * tall + MARGIN,
    across * wide + MARGIN,
    channels === 3 ? 3 : 1,
    BACKGROUND,
  );
  for (let image = 0; image < count; image++) {
    const row = Math.floor(image / across), column = image % across;
    const values = images.subarray(image * size, (image + 1) * size);
    picture.paint(values, imageShape, [MARGIN + row * tall, MARGIN + column * wide], scale);
  }
  return picture.png();
}
