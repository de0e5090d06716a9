/** Shapes: synthetic pictures with known factors, drawn on demand, in unlimited number. */
import * as z from "zod";
import { philox, type RandomKey, randomKey, unitInterval } from "../core/random.ts";
import { checkIndices, type Dataset, type Split } from "./dataset.ts";
import { type DatasetKind, sizeSetting, squareInColour } from "./kind.ts";

/** The factors of a picture. */
export interface ShapeFactors {
  /** The kind of shape. */
  readonly kind: "triangle" | "square" | "hexagon" | "circle";
  /** The hue of the shape's colour, in [0, 1): red, green and blue are at 0, 1/3 and 2/3. */
  readonly hue: number;
  /** The grey of the background, in [0, 1). */
  readonly background: number;
  /** The distance from the centre to the corners, in [0.15, 0.35) of the picture's side. */
  readonly radius: number;
  /** The rotation in radians, in [0, 2π). */
  readonly angle: number;
  /** The distance of the centre from the left edge, in [0.35, 0.65) of the picture's side. */
  readonly x: number;
  /** The distance of the centre from the top edge, in [0.35, 0.65) of the picture's side. */
  readonly y: number;
}

/** The number of sides of each kind; a circle has none. */
const SIDES: Readonly<Record<ShapeFactors["kind"], number>> = {
  triangle: 3,
  square: 4,
  hexagon: 6,
  circle: 0,
};
/** The number of test pictures; the number of training pictures is unlimited. */
const TESTS = 1000;
/** The number of pictures from which the variance is measured. */
const MEASURED = 512;

/** The factors of picture `index` of a part, independent and uniform.
 *
 * ```ts
 * import { drawShape, shapeFactors } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const factors = shapeFactors("test", 7);
 * assert.ok(factors.radius < 0.35);
 * assert.equal(drawShape({ ...factors, kind: "circle" }, 16).length, 16 * 16 * 3);
 * ```
 * @param index in [0, 2^32)
 * @param epoch the epoch, counted from 0; each epoch has new training pictures. The test pictures are those of epoch 0
 */
export function shapeFactors(split: Split, index: number, epoch = 0): ShapeFactors {
  const key: RandomKey = randomKey(0, `shapes ${split}`, split === "train" ? epoch : 0);
  const words = new Uint32Array(4);
  const units = [0, 1].flatMap((block) => {
    philox(key, block, index, words);
    return [...words].map(unitInterval);
  });
  const kinds = Object.keys(SIDES) as ShapeFactors["kind"][];
  return {
    kind: kinds[Math.floor(units[0] * kinds.length)],
    hue: units[1],
    background: units[2],
    radius: 0.15 + 0.2 * units[3],
    angle: 2 * Math.PI * units[4],
    x: 0.35 + 0.3 * units[5],
    y: 0.35 + 0.3 * units[6],
  };
}

/** Draws a picture: each pixel mixes the shape's colour and the background by how much of the pixel the shape covers.
 * @param size the picture's side
 * @returns the values of `[size, size, 3]` in [−1, 1], row-major
 */
export function drawShape(factors: ShapeFactors, size: number): Float32Array<ArrayBuffer> {
  const { hue, background, x, y } = factors;
  const colour = [0, 1, 2].map((channel) => channelOfHue(hue - channel / 3));
  const picture = new Float32Array(size * size * 3);
  for (let pixel = 0; pixel < size * size; pixel++) {
    const across = (pixel % size + 0.5) / size - x;
    const down = (Math.floor(pixel / size) + 0.5) / size - y;
    const covered = Math.min(1, Math.max(0, 0.5 - size * distanceTo(factors, across, down)));
    for (let channel = 0; channel < 3; channel++) {
      const level = background + covered * (colour[channel] - background);
      picture[3 * pixel + channel] = 2 * level - 1;
    }
  }
  return picture;
}

/** The distance of a point from a shape's outline, negative inside; near a corner, the distance from the line of the
 * nearer side. */
function distanceTo(
  { kind, radius, angle }: ShapeFactors,
  across: number,
  down: number,
): number {
  const sides = SIDES[kind];
  if (sides === 0) return Math.hypot(across, down) - radius;
  let farthest = -Infinity;
  for (let side = 0; side < sides; side++) {
    const normal = angle + 2 * Math.PI * side / sides;
    farthest = Math.max(farthest, across * Math.cos(normal) + down * Math.sin(normal));
  }
  return farthest - radius * Math.cos(Math.PI / sides);
}

/** The value of a colour channel for a hue relative to the channel's own hue: 1 nearby, 0.1 on the opposite side. */
function channelOfHue(hue: number): number {
  const apart = Math.abs(hue - Math.round(hue)); // In [0, 1/2].
  return 0.1 + 0.9 * Math.min(1, Math.max(0, 2 - 6 * apart));
}

/** The settings of `shapes`. */
export interface ShapesSettings {
  /** The side of the pictures. */
  readonly size: number;
  /** Training pictures per epoch. */
  readonly trainImages: number;
}

class Shapes implements Dataset {
  readonly name = "shapes";
  readonly imageShape: readonly [number, number, number];
  readonly sizes: Readonly<Record<Split, number>>;
  readonly variance: number;

  constructor({ size, trainImages }: ShapesSettings) {
    this.imageShape = [size, size, 3];
    this.sizes = { train: trainImages, test: TESTS };
    this.variance = unitVariance(
      Array.from({ length: MEASURED }, (_, index) => drawShape(shapeFactors("train", index), size)),
    );
  }

  async images(
    split: Split,
    indices: Int32Array,
    key?: RandomKey,
  ): Promise<Float32Array<ArrayBuffer>> {
    checkIndices(this, split, indices);
    const [size] = this.imageShape;
    const values = new Float32Array(indices.length * size * size * 3);
    indices.forEach((index, place) =>
      values.set(drawShape(shapeFactors(split, index, key?.step), size), place * size * size * 3)
    );
    return await Promise.resolve(values);
  }
}

/** The variance of values in [−1, 1] after rescaling to [0, 1]. */
function unitVariance(pictures: readonly Float32Array[]): number {
  let sum = 0, squares = 0, count = 0;
  for (const picture of pictures) {
    for (const value of picture) {
      sum += value;
      squares += value * value;
    }
    count += picture.length;
  }
  return (squares / count - (sum / count) ** 2) / 4;
}

/** `shapes` in the registry: `[size, size, 3]`, new training pictures in every epoch, 1,000 fixed test pictures. */
export const shapesKind: DatasetKind<ShapesSettings> = {
  schema: z.strictObject({
    size: sizeSetting(32),
    trainImages: z.int().min(1).max(2 ** 31 - 1).default(10_000)
      .describe("training images per epoch"),
  }),
  imageShape: squareInColour,
  open: async (settings) => await Promise.resolve(new Shapes(settings)),
};
