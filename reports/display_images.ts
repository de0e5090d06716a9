/** Images of a tensor, for notebooks. */
import { Buffer } from "node:buffer";
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { drawImages, type GridOptions } from "../objectives/image_grid.ts";

/** Images that a notebook shows as one picture; the result of `displayImages`. */
export class DisplayedImages {
  /** The bytes of the picture, a PNG. */
  readonly png: () => Promise<Uint8Array<ArrayBuffer>>;

  /** Takes a function that draws the picture. */
  constructor(png: () => Promise<Uint8Array<ArrayBuffer>>) {
    this.png = png;
  }

  /** Called by notebooks. */
  async [Symbol.for("Jupyter.display")](): Promise<{ readonly "image/png": string }> {
    return { "image/png": Buffer.from(await this.png()).toString("base64") };
  }
}

/** Images in a grid, which Deno's Jupyter kernel shows if they are the value of a cell. The tensor is read when they
 * are shown. Images with 3 channels are shown in RGB, others in grey from the first channel.
 *
 * ```ts
 * import { displayImages, openDevice, randomKey, uniform } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const images = uniform(device, [10, 28, 28, 1], randomKey(1, "images"), -1, 1);
 * const png = await displayImages(images).png();
 * console.log(`${png.length} bytes`);
 * ```
 * @param images float32 `[B, H, W, C]` in [−1, 1]; other values are clipped
 * @throws {TypeError} the tensor does not have this form
 * @throws {RangeError} an option is not a positive integer
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
