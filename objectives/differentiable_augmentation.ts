/** DiffAugment (Zhao et al. 2020, arXiv 2006.10738): random, differentiable augmentation of the discriminator's inputs. */
import { uniform, zeros } from "../core/functions/creation.ts";
import { add, mul, sub } from "../core/functions/elementwise.ts";
import { gather } from "../core/functions/indexing.ts";
import { concatenate, reshape } from "../core/functions/movement.ts";
import { mean } from "../core/functions/reductions.ts";
import { philox, type RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { drawOwnRows, type Replicas, SINGLE } from "../nn/replicas.ts";

/** Maximum shift and side of the cutout, as fractions of the image's side. */
const SHIFT = 1 / 8, CUTOUT = 1 / 2;

/** Augments images for a discriminator, so that it does not memorise a small training set. Each image gets a random
 * brightness (± 0.5), saturation (× [0, 2)) and contrast (× [0.5, 1.5)), is shifted by up to an eighth of its sides,
 * and a rectangle of half its sides is cut out. Pixels that are shifted in or cut out are 0. It is differentiable with
 * respect to the images.
 *
 * ```ts
 * import { augment, openDevice, randomKey, uniform } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const images = uniform(device, [2, 16, 16, 3], randomKey(1, "images"), -1, 1);
 * const seen = augment(images, randomKey(1, "augmentation"));
 * assert.deepEqual(seen.shape, images.shape);
 * ```
 * @param images float32 `[B, H, W, C]` in [−1, 1]
 * @param key the key of the random numbers; each image gets its own numbers
 * @param replicas the processes that share the batch; each gets the numbers of its own images
 */
export function augment(images: Tensor, key: RandomKey, replicas: Replicas = SINGLE): Tensor {
  const recoloured = recolour(images, key, replicas);
  return move(recoloured, partKey(key, 3), replicas.rank * images.shape[0]);
}

/** Changes brightness, saturation and contrast, in this order. */
function recolour(images: Tensor, key: RandomKey, replicas: Replicas): Tensor {
  const { device, shape: [batch] } = images;
  const draw = (part: number, low: number, high: number) =>
    drawOwnRows(
      [batch, 1, 1, 1],
      replicas,
      (shape) => uniform(device, shape, partKey(key, part), low, high),
    );
  const about = (x: Tensor, axes: readonly number[], factor: Tensor) => {
    const centre = mean(x, axes, { keepAxes: true });
    return add(mul(sub(x, centre), factor), centre);
  };
  const brighter = add(images, draw(0, -0.5, 0.5));
  const saturated = about(brighter, [3], draw(1, 0, 2));
  return about(saturated, [1, 2, 3], draw(2, 0.5, 1.5));
}

/** Shifts the images and cuts out a rectangle: each pixel becomes a copy of another one, or 0.
 * @param first the position of the first image in the batch
 */
function move(images: Tensor, key: RandomKey, first: number): Tensor {
  const { device, shape } = images;
  const [batch, height, width, channels] = shape, nothing = batch * height * width;
  const sources = new Int32Array(nothing), words = new Uint32Array(4);
  for (let image = 0; image < batch; image++) {
    philox(key, first + image, 0, words);
    const [down, right, top, left] = words;
    const y = shiftOf(height, down), x = shiftOf(width, right);
    const rows = cutOf(height, top), columns = cutOf(width, left);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const from = row - y, beside = column - x;
        const isInside = from >= 0 && from < height && beside >= 0 && beside < width;
        const isCut = rows(row) && columns(column);
        sources[(image * height + row) * width + column] = isInside && !isCut
          ? (image * height + from) * width + beside
          : nothing;
      }
    }
  }
  const pixels = reshape(images, [nothing, channels]);
  const table = concatenate([pixels, zeros(device, [1, channels])]);
  return reshape(gather(table, device.tensor(sources, [nothing])), shape);
}

/** The shift in pixels, from a random 32-bit word. */
function shiftOf(side: number, word: number): number {
  const most = Math.round(side * SHIFT);
  return word % (2 * most + 1) - most;
}

/** Which positions along a side are cut out: half of the side, around a random centre. The cutout may cross the
 * border. */
function cutOf(side: number, word: number): (place: number) => boolean {
  const length = Math.round(side * CUTOUT), centre = word % (side + 1 - length % 2);
  const start = centre - Math.floor(length / 2);
  return (place) => place >= start && place < start + length;
}
