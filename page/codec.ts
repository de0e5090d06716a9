/** Encodes images to codes and decodes codes to images, with plain arrays in and out. */
import type { Device, FirstStage } from "@codebook/codebook/web";
import { type CodeColour, codeColours, type Codes } from "./code_colours.ts";
import { GRID, PLACES } from "./code_grid.ts";
import type { Turns } from "./device.ts";
import { PIXELS, SIDE } from "./pictures.ts";

/** Pixels per code along each side. */
const SCALE = SIDE / GRID;
/** Side of a patch in pixels: a code and its direct neighbours. */
export const PATCH_SIDE = 3 * SCALE;
/** A blank image. */
export const BLANK: Float32Array<ArrayBuffer> = new Float32Array(PIXELS).fill(-1);

type Encode = (image: Float32Array<ArrayBuffer>) => Promise<Int32Array<ArrayBuffer>>;
type Decode = (codes: Int32Array<ArrayBuffer>) => Promise<Float32Array<ArrayBuffer>>;
type Quantize = (features: Float32Array<ArrayBuffer>) => Promise<Int32Array<ArrayBuffer>>;

/** Encodes and decodes digits. */
export class Codec {
  /** The codebook, in the space where distances are measured. */
  readonly codes: Codes;
  /** The codes of a blank image. */
  readonly blank: Int32Array<ArrayBuffer>;
  /** The colour of each code. */
  readonly colours: readonly CodeColour[];
  readonly #encode: Encode;
  readonly #decode: Decode;
  readonly #quantize: Quantize;

  /** Reads the codebook of a first stage.
   * @throws {Error} the first stage has no codebook
   */
  static async open(stage: FirstStage, device: Device, turns: Turns): Promise<Codec> {
    const take = <T>(work: () => Promise<T>) =>
      turns.take(async () => {
        using _scope = device.scope();
        return await work();
      });
    const encode: Encode = (image) =>
      take(() => stage.encode(device.tensor(image, [1, SIDE, SIDE, 1])).indices.integers());
    const decode: Decode = (codes) =>
      take(() => stage.decode(device.tensor(codes, [codes.length / PLACES, GRID, GRID])).floats());
    const quantize: Quantize = (features) =>
      take(() =>
        stage.quantize(device.tensor(features, [1, GRID, GRID, stage.codebookDim])).integers()
      );
    const codes = await take(async () => {
      const tensor = stage.network.quantizer.codes();
      if (tensor === undefined) throw new Error("The first stage must have a codebook, got none");
      const [size, width] = tensor.shape;
      return { values: await tensor.floats(), size, width };
    });
    return new Codec(codes, await encode(BLANK), encode, decode, quantize);
  }

  private constructor(
    codes: Codes,
    blank: Int32Array<ArrayBuffer>,
    encode: Encode,
    decode: Decode,
    quantize: Quantize,
  ) {
    this.codes = codes;
    this.blank = blank;
    this.colours = codeColours(codes, blank);
    this.#encode = encode;
    this.#decode = decode;
    this.#quantize = quantize;
  }

  /** Encodes an image `[28, 28]` to codes `[49]`. */
  encode(image: Float32Array<ArrayBuffer>): Promise<Int32Array<ArrayBuffer>> {
    return this.#encode(image);
  }

  /** Decodes codes `[B, 49]` to images `[B, 28, 28]`. */
  decode(codes: Int32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> {
    return this.#decode(codes);
  }

  /** Quantises features `[7, 7, D]`, as the encoder gives them, to codes `[49]`. */
  quantize(features: Float32Array<ArrayBuffer>): Promise<Int32Array<ArrayBuffer>> {
    return this.#quantize(features);
  }
}

/** Crops the pixels of a code and its neighbours, `[12, 12]`. Outside the image, the patch is blank. */
export function patchOf(image: Float32Array, place: number): Float32Array {
  const top = (Math.floor(place / GRID) - 1) * SCALE, left = (place % GRID - 1) * SCALE;
  return Float32Array.from({ length: PATCH_SIDE ** 2 }, (_, at) => {
    const y = top + Math.floor(at / PATCH_SIDE), x = left + at % PATCH_SIDE;
    return x >= 0 && x < SIDE && y >= 0 && y < SIDE ? image[y * SIDE + x] : -1;
  });
}

/** Mean squared difference of two images. */
export function meanSquaredDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + (value - b[at]) ** 2, 0) / PIXELS;
}
