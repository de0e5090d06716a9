/** Draws images side by side in one picture. */
import { Picture } from "./picture.ts";

/** The layout of the images. */
export interface GridOptions {
  /** The number of images per row; by default 8. */
  readonly columns?: number;
  /** Small images are enlarged by the largest whole factor that keeps their longer side within this many pixels; by
   * default 96. */
  readonly side?: number;
}

const MARGIN = 4;
/** The value of the pixels between the images, a light grey. */
const BACKGROUND = 224;

/** Draws images in rows, as a PNG. Images with 3 channels are drawn in RGB, others in grey from their first channel.
 * @param values the values of the images, row-major; −1 is black and 1 is white, and values outside are clipped
 */
export function drawImages(
  values: Float32Array,
  shape: readonly number[],
  options: GridOptions = {},
): Uint8Array<ArrayBuffer> {
  return pictureOf(values, shape, options).png();
}

/** The same as `drawImages`, but returns a picture. */
export function pictureOf(
  values: Float32Array,
  [count, height, width, channels]: readonly number[],
  { columns: most = 8, side = 96 }: GridOptions = {},
): Picture {
  const scale = Math.max(1, Math.floor(side / Math.max(height, width)));
  const columns = Math.min(most, count), rows = Math.ceil(count / columns);
  const tall = height * scale + MARGIN, wide = width * scale + MARGIN;
  const picture = new Picture(
    rows * tall + MARGIN,
    columns * wide + MARGIN,
    channels === 3 ? 3 : 1,
    BACKGROUND,
  );
  const size = height * width * channels;
  for (let image = 0; image < count; image++) {
    const corner = [
      MARGIN + Math.floor(image / columns) * tall,
      MARGIN + (image % columns) * wide,
    ] as const;
    const part = values.subarray(image * size, (image + 1) * size);
    picture.paint(part, [height, width, channels], corner, scale);
  }
  return picture;
}
