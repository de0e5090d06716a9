/** Images of a tensor, for notebooks. */
import { Buffer } from "node:buffer";
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { Picture } from "../objectives/picture.ts";

/** How images are laid out. */
export interface DisplayOptions {
  /** Images side by side; 8. */
  readonly columns?: number;
  /** Small images are enlarged by the greatest whole factor that keeps their longer side within so many pixels; 96. */
  readonly side?: number;
}

/** Images that a notebook shows as one picture; made by `displayImages`. */
export class DisplayedImages {
  /** The bytes of the picture, a PNG. */
  readonly png: () => Promise<Uint8Array<ArrayBuffer>>;

  /** Takes what draws the picture. */
  constructor(png: () => Promise<Uint8Array<ArrayBuffer>>) {
    this.png = png;
  }

  /** What a notebook asks for. */
  async [Symbol.for("Jupyter.display")](): Promise<{ readonly "image/png": string }> {
    return { "image/png": Buffer.from(await this.png()).toString("base64") };
  }
}

const MARGIN = 4;
/** Of a pixel between the images, a light grey. */
const BACKGROUND = 224;

/** Images in a grid, which Deno's Jupyter kernel shows where they are the value of a cell. They are read when they are
 * shown. RGB where the images have 3 channels, else grey, of the first channel.
 *
 * ```ts
 * import { displayImages, openDevice, randomKey, uniform } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const images = uniform(device, [10, 28, 28, 1], randomKey(1, "images"), -1, 1);
 * const png = await displayImages(images).png();
 * console.log(`${png.length} bytes`);
 * ```
 * @param images float32 `[B, H, W, C]` in [−1, 1]; other values are shown as the nearest of these
 * @throws {TypeError} the tensor is not of this form
 * @throws {RangeError} an option is no positive integer
 */
export function displayImages(
  images: Tensor,
  { columns = 8, side = 96 }: DisplayOptions = {},
): DisplayedImages {
  const { shape, dtype } = images;
  if (shape.length !== 4 || dtype !== "float32") {
    throw new TypeError(
      `Cannot display images: they must be float32 [B, H, W, C], got ${dtype} ${showShape(shape)}`,
    );
  }
  for (const [name, value] of Object.entries({ columns, side })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(
        `Cannot display images: ${name} must be an integer of at least 1, got ${value}`,
      );
    }
  }
  return new DisplayedImages(async () => drawGrid(await images.floats(), shape, columns, side));
}

function drawGrid(
  values: Float32Array,
  [count, height, width, channels]: readonly number[],
  most: number,
  side: number,
): Uint8Array<ArrayBuffer> {
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
  return picture.png();
}
