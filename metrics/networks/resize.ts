/** Bilinear resizing of images on the device, as two matrix products. */
import { reshape } from "../../core/functions/movement.ts";
import { matmul } from "../../core/functions/products.ts";
import type { Tensor } from "../../core/tensor.ts";

/** The weights of a bilinear resize along one axis, `[to, from]`: output i lies at (i + ½)·from/to − ½ between the
 * pixel centres, clamped to the first and the last. There is no antialiasing when shrinking. */
function resizeWeights(from: number, to: number): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(to * from);
  for (let output = 0; output < to; output++) {
    const place = Math.max(0, (output + 0.5) * from / to - 0.5);
    const low = Math.min(Math.floor(place), from - 1), high = Math.min(low + 1, from - 1);
    weights[output * from + low] += 1 - (place - low);
    weights[output * from + high] += place - low;
  }
  return weights;
}

/** Resizes images `[B, H, W, C]` to `[B, height, width, C]`, as PyTorch's `interpolate(mode="bilinear",
 * align_corners=False)` does. Differentiable.
 *
 * ```ts
 * import { openDevice, resizeBilinear } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const row = device.tensor([0, 1], [1, 1, 2, 1]);
 * assert.deepEqual([...await resizeBilinear(row, 1, 4).floats()], [0, 0.25, 0.75, 1]);
 * ```
 */
export function resizeBilinear(images: Tensor, height: number, width: number): Tensor {
  const [batch, rows, columns, channels] = images.shape;
  const { device } = images;
  if (rows === height && columns === width) return images;
  const down = device.tensor(resizeWeights(rows, height), [height, rows]);
  const across = resizeWeights(columns, width);
  // Along the columns, with the channels: [columns·channels, width·channels], with zeros between different channels.
  const spread = new Float32Array(columns * channels * width * channels);
  across.forEach((weight, at) => {
    const output = Math.floor(at / columns), column = at % columns;
    for (let channel = 0; channel < channels; channel++) {
      const row = column * channels + channel;
      spread[row * width * channels + output * channels + channel] = weight;
    }
  });
  const stretched = matmul(
    down,
    reshape(images, [batch, rows, columns * channels]),
  );
  const resized = matmul(
    reshape(stretched, [batch * height, columns * channels]),
    device.tensor(spread, [columns * channels, width * channels]),
  );
  return reshape(resized, [batch, height, width, channels]);
}
