/** Images side by side, as one picture. */
import { Picture } from "./picture.ts";

/** How images are laid out. */
export interface GridOptions {
  /** Images side by side; 8. */
  readonly columns?: number;
  /** Small images are enlarged by the greatest whole factor that keeps their longer side within so many pixels; 96. */
  readonly side?: number;
}

const MARGIN = 4;
/** Of a pixel between the images, a light grey. */
const BACKGROUND = 224;

/** Draws images in rows, as a PNG: RGB where they have 3 channels, else grey, of the first channel.
 * @param values of the images, row-major; −1 is black and 1 is white, and what is outside is shown as the nearest inside
 */
export function drawImages(
  values: Float32Array,
  shape: readonly number[],
  options: GridOptions = {},
): Uint8Array<ArrayBuffer> {
  return pictureOf(values, shape, options).png();
}

/** The same as a picture. */
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
