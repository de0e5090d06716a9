/** Pictures of the images that a generator made. */
import { type ImageShape, Picture } from "./picture.ts";

/** Images side by side. */
const COLUMNS = 8;
/** Small images are enlarged by the greatest whole factor that keeps their longer side within so many pixels. */
const SHOWN_SIDE = 96;
const MARGIN = 4;
/** Of a pixel of the margin, a light grey. */
const BACKGROUND = 224;

/** Draws rows of eight images as a PNG. Small images are enlarged by a whole factor; RGB where they have 3 channels, else
 * grey, of the first channel.
 * @param images the values of `[count, ...imageShape]`; what is outside [−1, 1] is shown as the nearest inside
 */
export function drawImageGrid(
  images: Float32Array,
  imageShape: ImageShape,
): Uint8Array<ArrayBuffer> {
  const [height, width, channels] = imageShape, size = height * width * channels;
  const count = images.length / size;
  const scale = Math.max(1, Math.floor(SHOWN_SIDE / Math.max(height, width)));
  const columns = Math.min(COLUMNS, count), rows = Math.ceil(count / columns);
  const [tall, wide] = [height * scale + MARGIN, width * scale + MARGIN];
  const picture = new Picture(
    rows * tall + MARGIN,
    columns * wide + MARGIN,
    channels === 3 ? 3 : 1,
    BACKGROUND,
  );
  for (let image = 0; image < count; image++) {
    const corner = [
      MARGIN + Math.floor(image / columns) * tall,
      MARGIN + image % columns * wide,
    ] as const;
    picture.paint(images.subarray(image * size, (image + 1) * size), imageShape, corner, scale);
  }
  return picture.png();
}
