/** Shrinks images by averaging and enlarges them by bicubic interpolation, on the device. */
import { reshape } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import type { Tensor } from "../core/tensor.ts";

/** The weights of one axis, `[to][from]`. */
type Weights = readonly (readonly number[])[];

/** Output i is the mean of the inputs that overlap its part of the axis. */
function averageWeights(from: number, to: number): Weights {
  return Array.from({ length: to }, (_, output) => {
    const first = Math.floor(output * from / to), end = Math.ceil((output + 1) * from / to);
    return Array.from(
      { length: from },
      (_, input) => input >= first && input < end ? 1 / (end - first) : 0,
    );
  });
}

/** The slope of the cubic's outer parts. */
const A = -0.75;

/** Keys's cubic (1981) at a distance from its centre. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x <= 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return x < 2 ? ((A * x - 5 * A) * x + 8 * A) * x - 4 * A : 0;
}

/** Output i lies at (i + ½)·from/to − ½ between four inputs; inputs beyond an edge repeat the one at the edge. */
function bicubicWeights(from: number, to: number): Weights {
  return Array.from({ length: to }, (_, output) => {
    const place = (output + 0.5) * from / to - 0.5, low = Math.floor(place);
    const weights = new Array<number>(from).fill(0);
    for (let input = low - 1; input <= low + 2; input++) {
      weights[Math.min(Math.max(input, 0), from - 1)] += cubic(place - input);
    }
    return weights;
  });
}

/** Both axes at once, as one matrix: `[height'·width', height·width]` × `[B, height·width, C]`. */
function resample(images: Tensor, rows: Weights, columns: Weights): Tensor {
  const [batch, height, width, channels] = images.shape;
  const places = height * width, matrix = new Float32Array(rows.length * columns.length * places);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      for (const byRow of row) for (const byColumn of column) matrix[at++] = byRow * byColumn;
    }
  }
  const weights = images.device.tensor(matrix, [matrix.length / places, places]);
  const resampled = matmul(weights, reshape(images, [batch, places, channels]));
  return reshape(resampled, [batch, rows.length, columns.length, channels]);
}

/** Shrinks images: each output pixel is the mean of the input pixels that it overlaps, as in PyTorch's
 * `interpolate(mode="area")`. Differentiable.
 *
 * ```ts
 * import { averageTo, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const row = device.tensor([0, 1, 2], [1, 1, 3, 1]);
 * assert.deepEqual([...await averageTo(row, 1, 2).floats()], [0.5, 1.5]);
 * ```
 * @param images float32 `[B, H, W, C]`
 * @returns float32 `[B, height, width, C]`
 */
export function averageTo(images: Tensor, height: number, width: number): Tensor {
  const [, rows, columns] = images.shape;
  if (rows === height && columns === width) return images;
  return resample(images, averageWeights(rows, height), averageWeights(columns, width));
}

/** Enlarges images by bicubic interpolation with a = −0.75, as PyTorch's `interpolate(mode="bicubic",
 * align_corners=False)` does. Differentiable.
 *
 * ```ts
 * import { bicubicTo, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const pixel = device.tensor([3], [1, 1, 1, 1]);
 * assert.deepEqual([...await bicubicTo(pixel, 1, 2).floats()], [3, 3]);
 * ```
 * @param images float32 `[B, H, W, C]`
 * @returns float32 `[B, height, width, C]`
 */
export function bicubicTo(images: Tensor, height: number, width: number): Tensor {
  const [, rows, columns] = images.shape;
  if (rows === height && columns === width) return images;
  return resample(images, bicubicWeights(rows, height), bicubicWeights(columns, width));
}
