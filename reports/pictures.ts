/** Originals, reconstructions and their differences, as embedded pictures. */
import { Buffer } from "node:buffer";
import { sizeOf } from "../core/shape.ts";
import { Picture } from "../objectives/picture.ts";
import type { Samples } from "../objectives/sample_grid.ts";
import { type Html, type HtmlValue, joinHtml, markup } from "./html.ts";

/** Three rows: originals, reconstructions, and their differences, where middle grey means no difference and the
 * contrast is doubled. */
export function drawPictures({ originals, reconstructions, imageShape }: Samples): Html {
  const differences = reconstructions.map((value, at) => 2 * (value - originals[at]));
  return joinHtml([
    drawPictureRow("original", originals, imageShape),
    drawPictureRow("reconstruction", reconstructions, imageShape),
    drawPictureRow("difference", differences, imageShape),
  ]);
}

/** A row of pictures with its name.
 * @param values of `[n, height, width, channels]` in [−1, 1]
 * @param label the text shown; by default the name
 */
export function drawPictureRow(
  name: string,
  values: Float32Array,
  imageShape: Samples["imageShape"],
  label: HtmlValue = name,
): Html {
  const size = sizeOf(imageShape), count = values.length / size;
  const pictures = Array.from({ length: count }, (_, image) => {
    const source = pngAddress(values.subarray(image * size, (image + 1) * size), imageShape);
    return markup`<img src="${source}" alt="${name} ${image + 1}">`;
  });
  return markup`<div class="pictures" style="--count: ${count}"><span>${label}</span>${pictures}</div>`;
}

/** An image in [−1, 1] as a PNG data URL: RGB if it has 3 channels, otherwise grey from the first channel. */
function pngAddress(values: Float32Array, imageShape: Samples["imageShape"]): string {
  const [height, width, channels] = imageShape;
  const picture = new Picture(height, width, channels === 3 ? 3 : 1);
  picture.paint(values, imageShape);
  return `data:image/png;base64,${Buffer.from(picture.png()).toString("base64")}`;
}
