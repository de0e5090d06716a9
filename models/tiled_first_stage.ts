/** Encodes and decodes large images tile by tile. */
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import type { FirstStage } from "./first_stage.ts";
import { checkTiling, type TileSpan, tileSpans, tileWeights, type Tiling } from "./tiles.ts";

/** Values on the host with their shape. */
export interface TiledValues<Values> {
  /** Row-major. */
  readonly values: Values;
  /** Their shape. */
  readonly shape: Shape;
}

/** Encodes and decodes images of any size in tiles. The device only needs memory for one tile.
 *
 * In an overlap, each code comes from the tile whose centre is nearer, and decoded tiles are blended over half of the
 * overlap. If the receptive field reaches no further than a quarter of the overlap, the result equals that of the whole
 * image, except for rounding. Group normalisation and attention depend on the whole image, so networks with these treat
 * each tile as a separate image, and the result differs.
 *
 * ```ts
 * import {
 *   FirstStage, openDevice, randomKey, TiledFirstStage, VanillaQuantizer, VQVAE,
 * } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const tiled = new TiledFirstStage(new FirstStage(network, key), device, { tile: 16, overlap: 8 });
 * const image = { values: new Float32Array(40 * 24), shape: [40, 24, 1] };
 * const codes = await tiled.encode(image);
 * assert.deepEqual(codes.shape, [10, 6]);
 * assert.deepEqual((await tiled.decode(codes)).shape, [40, 24, 1]);
 * ```
 */
export class TiledFirstStage {
  readonly #model: FirstStage;
  readonly #device: Device;
  readonly #tiling: Tiling;

  /** Makes a tiled first stage from a model.
   * @param device the device of the model
   * @throws {RangeError} a tile or an overlap is not divisible by the downsampling, or tiles overlap by more than half,
   * or the quantiser codes whole grids
   */
  constructor(model: FirstStage, device: Device, tiling: Tiling) {
    checkTiling(tiling, model.downsampling);
    if (model.grid !== undefined) {
      throw new RangeError(
        `Cannot cut images into tiles: the quantizer must code each position separately, got one that codes grids of ${
          model.grid.join("×")
        }`,
      );
    }
    this.#model = model;
    this.#device = device;
    this.#tiling = tiling;
  }

  /** Encodes an image to codes.
   * @param image `[H, W, C]` in [−1, 1]
   * @returns the codes' indices `[h, w, ...codeAxes]`
   * @throws {TypeError} the image has another number of channels, or a side is not divisible by the downsampling
   */
  async encode(
    { values, shape }: TiledValues<Float32Array>,
  ): Promise<TiledValues<Int32Array<ArrayBuffer>>> {
    const { downsampling, channels, codeAxes } = this.#model;
    const [height, width, given] = shape;
    const [h, w] = [height / downsampling, width / downsampling];
    if (shape.length !== 3 || given !== channels || !Number.isInteger(h) || !Number.isInteger(w)) {
      throw new TypeError(
        `Cannot encode an image: it must be [H, W, ${channels}] with sides divisible by ${downsampling}, got shape ${
          showShape(shape)
        }`,
      );
    }
    const depth = sizeOf(codeAxes);
    const codes = new Int32Array(h * w * depth);
    for (const [row, column, tall, wide] of this.#tiles(h, w)) {
      const part = crop(values, [height, width, channels], {
        ...{ top: row.start * downsampling, left: column.start * downsampling },
        ...{ height: tall * downsampling, width: wide * downsampling },
      });
      using _scope = this.#device.scope();
      const size = [1, tall * downsampling, wide * downsampling, channels];
      const { indices } = this.#model.encode(this.#device.tensor(part, size));
      const own = await indices.integers();
      for (let y = row.from; y < row.to; y++) {
        const at = ((y - row.start) * wide + column.from - column.start) * depth;
        const length = (column.to - column.from) * depth;
        codes.set(own.subarray(at, at + length), (y * w + column.from) * depth);
      }
    }
    return { values: codes, shape: [h, w, ...codeAxes] };
  }

  /** Decodes codes to an image: `[h, w, ...codeAxes]` → `[H, W, C]`, unbounded.
   * @throws {TypeError} the indices have other axes
   * @throws {RangeError} an index has no code
   */
  async decode(
    { values, shape }: TiledValues<Int32Array>,
  ): Promise<TiledValues<Float32Array<ArrayBuffer>>> {
    const { downsampling, channels } = this.#model;
    const [h, w, ...axes] = shape, depth = sizeOf(axes);
    const [height, width] = [h * downsampling, w * downsampling];
    const image = new Float32Array(height * width * channels);
    for (const [row, column, tall, wide] of this.#tiles(h, w)) {
      const part = crop(values, [h, w, depth], {
        ...{ top: row.start, left: column.start, height: tall, width: wide },
      });
      using _scope = this.#device.scope();
      const indices = this.#device.tensor(part, [1, tall, wide, ...axes]);
      const decoded = await this.#model.decode(indices).floats();
      const [down, across] = [
        this.#weights(row, tall, height),
        this.#weights(column, wide, width),
      ];
      const [top, left] = [row.start * downsampling, column.start * downsampling];
      down.forEach((byRow, y) =>
        across.forEach((byColumn, x) => {
          const weight = byRow * byColumn;
          if (weight === 0) return;
          for (let channel = 0; channel < channels; channel++) {
            image[((top + y) * width + left + x) * channels + channel] += weight *
              decoded[(y * across.length + x) * channels + channel];
          }
        })
      );
    }
    return { values: image, shape: [height, width, channels] };
  }

  /** The tiles of a grid of codes, with the height and the width of each in positions. */
  *#tiles(
    height: number,
    width: number,
  ): Generator<readonly [row: TileSpan, column: TileSpan, height: number, width: number]> {
    const { downsampling } = this.#model;
    const tiling = {
      tile: this.#tiling.tile / downsampling,
      overlap: this.#tiling.overlap / downsampling,
    };
    for (const row of tileSpans(height, tiling)) {
      for (const column of tileSpans(width, tiling)) {
        yield [row, column, Math.min(height, tiling.tile), Math.min(width, tiling.tile)];
      }
    }
  }

  /** The weights of a tile's pixels along an axis of the image. */
  #weights({ start, from, to }: TileSpan, places: number, side: number): Float32Array {
    const { downsampling } = this.#model;
    const pixels = {
      start: start * downsampling,
      from: from * downsampling,
      to: to * downsampling,
    };
    const { overlap } = this.#tiling;
    return tileWeights(pixels, { length: places * downsampling, side, overlap });
  }
}

/** Crops a rectangle of values. */
function crop<Values extends Float32Array | Int32Array>(
  values: Values,
  [, width, channels]: readonly [number, number, number],
  part: {
    readonly top: number;
    readonly left: number;
    readonly height: number;
    readonly width: number;
  },
): Values extends Float32Array ? Float32Array<ArrayBuffer> : Int32Array<ArrayBuffer> {
  const length = part.width * channels;
  const result = values instanceof Float32Array
    ? new Float32Array(part.height * length)
    : new Int32Array(part.height * length);
  for (let row = 0; row < part.height; row++) {
    const at = ((part.top + row) * width + part.left) * channels;
    result.set(values.subarray(at, at + length), row * length);
  }
  return result as Values extends Float32Array ? Float32Array<ArrayBuffer>
    : Int32Array<ArrayBuffer>;
}
