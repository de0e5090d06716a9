/** Sharpness: the fine detail of the reconstructions relative to that of the originals. */
import { sizeOf } from "../core/shape.ts";
import { type ImageMetric, MeasuringMetric, type MetricDescription } from "./image_metric.ts";
import { checkPair, type Images } from "./images.ts";

/** Lowest frequency of the high band, in cycles per pixel: half of the highest possible frequency along an axis. */
const LEAST = 0.25;

/** The energy of each image in the high band of its spectrum: the sum of the squared coefficients of the two-dimensional cosine
 * transform (DCT-II, orthonormal) at frequencies √(u² + v²) of at least ¼ cycle per pixel, over all channels. Unlike a Fourier
 * transform, a cosine transform adds no edge at the image's border.
 *
 * ```ts
 * import { imageHighEnergy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const board = Float32Array.from({ length: 64 }, (_, at) => (at + Math.floor(at / 8)) % 2);
 * const flat = new Float32Array(64).fill(1);
 * const shape = [1, 8, 8, 1] as const;
 * assert.ok(imageHighEnergy({ values: flat, shape })[0] < 1e-12);
 * assert.ok(imageHighEnergy({ values: board, shape })[0] > 10);
 * ```
 * @returns `[count]`, float64
 */
export function imageHighEnergy({ values, shape }: Images): Float64Array<ArrayBuffer> {
  const [count, height, width, channels] = shape;
  const columns = cosines(height), rows = cosines(width);
  const size = sizeOf(shape.slice(1));
  return Float64Array.from({ length: count }, (_, image) => {
    let energy = 0;
    for (let channel = 0; channel < channels; channel++) {
      const plane = Float64Array.from(
        { length: height * width },
        (_, at) => values[image * size + at * channels + channel],
      );
      // Each pass transforms the rows and transposes the result.
      const turned = transformRows(plane, width, rows);
      energy += highEnergy(transformRows(turned, height, columns), height, width);
    }
    return energy;
  });
}

/** The matrix of the orthonormal cosine transform of `length` values, one frequency per row. */
function cosines(length: number): Float64Array {
  const matrix = new Float64Array(length * length);
  for (let frequency = 0; frequency < length; frequency++) {
    const scale = Math.sqrt((frequency === 0 ? 1 : 2) / length);
    for (let at = 0; at < length; at++) {
      matrix[frequency * length + at] = scale * Math.cos(Math.PI * frequency * (at + 0.5) / length);
    }
  }
  return matrix;
}

/** `[rows, length]` → `[length, rows]`: the transform of each row, in a column. */
function transformRows(plane: Float64Array, length: number, matrix: Float64Array): Float64Array {
  const rows = plane.length / length;
  const result = new Float64Array(plane.length);
  for (let row = 0; row < rows; row++) {
    for (let frequency = 0; frequency < length; frequency++) {
      let sum = 0;
      for (let at = 0; at < length; at++) {
        sum += matrix[frequency * length + at] * plane[row * length + at];
      }
      result[frequency * rows + row] = sum;
    }
  }
  return result;
}

/** The squares of the coefficients `[height, width]` in the high band. */
function highEnergy(coefficients: Float64Array, height: number, width: number): number {
  let energy = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      // The k-th cosine of n values has k/(2n) cycles per pixel.
      const isHigh = Math.hypot(row / (2 * height), column / (2 * width)) >= LEAST;
      if (isHigh) energy += coefficients[row * width + column] ** 2;
    }
  }
  return energy;
}

/** The high-band energy of all reconstructions divided by that of all originals. 1 means as sharp as the originals, less means
 * blurred, more means added noise. It does not measure whether the detail is correct, so read it together with an error.
 *
 * ```ts
 * import { Sharpness, SHARPNESS } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using sharpness = new Sharpness(SHARPNESS);
 * const shape = [1, 8, 8, 1] as const;
 * const values = Float32Array.from({ length: 64 }, (_, at) => at % 2);
 * await sharpness.add({ values, shape }, { values: values.map((value) => value / 2), shape });
 * assert.ok(Math.abs(await sharpness.result() - 0.25) < 1e-12);
 * ```
 */
export class Sharpness extends MeasuringMetric implements ImageMetric {
  /** The metric's description. */
  readonly description: MetricDescription;
  #originals = 0;
  #reconstructions = 0;
  #images = 0;

  /** Starts with no pairs. */
  constructor(description: MetricDescription) {
    super();
    this.description = description;
  }

  /** The energies of the originals, then those of the reconstructions.
   * @throws {TypeError} the shapes differ
   */
  async measure(
    originals: Images,
    reconstructions: Images,
  ): Promise<Float64Array<ArrayBuffer>> {
    checkPair(originals, reconstructions, "measure sharpness");
    const [own, other] = [originals, reconstructions].map(imageHighEnergy);
    return await Promise.resolve(Float64Array.of(...own, ...other));
  }

  /** Adds the energies of pairs. */
  take(measured: Float64Array): void {
    const count = measured.length / 2;
    const total = (energies: Float64Array) => energies.reduce((sum, one) => sum + one, 0);
    this.#originals += total(measured.subarray(0, count));
    this.#reconstructions += total(measured.subarray(count));
    this.#images += count;
  }

  /** The ratio. If the originals have no fine detail, it is 1 if the reconstructions have none either, otherwise infinite.
   * @throws {RangeError} there was no image
   */
  async result(): Promise<number> {
    if (this.#images === 0) {
      throw new RangeError(
        `Cannot give ${this.description.name}: at least one image is needed, got none`,
      );
    }
    const isFlat = this.#originals === 0 && this.#reconstructions === 0;
    return await Promise.resolve(isFlat ? 1 : this.#reconstructions / this.#originals);
  }

  /** Does nothing: there is nothing to free. */
  [Symbol.dispose](): void {}
}

/** The description of `Sharpness`. */
export const SHARPNESS: MetricDescription = {
  name: "sharpness",
  definition:
    "energy of the reconstructions over that of the originals, all images together, in the cosine transform's " +
    "(DCT-II) coefficients at 1/4 of a cycle a pixel and more; 1 is as sharp, above is noise",
  better: "higher",
  decimals: 3,
};
