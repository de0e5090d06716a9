/** Images of a tensor, for notebooks. */
import { Buffer } from "node:buffer";
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { drawImages, type GridOptions } from "../objectives/image_grid.ts";

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
  { columns = 8, side = 96 }: GridOptions = {},
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
  return new DisplayedImages(async () =>
    drawImages(await images.floats(), shape, { columns, side })
  );
}
