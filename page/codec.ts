/** The first stage on numbers of the host: pictures to codes and back. */
import type { Device, FirstStage } from "@codebook/codebook/web";
import { type CodeColour, codeColours, type Codes } from "./code_colours.ts";
import { GRID, PLACES } from "./code_grid.ts";
import type { Turns } from "./device.ts";
import { PIXELS, SIDE } from "./pictures.ts";

/** Pixels of a code's side. */
const SCALE = SIDE / GRID;
/** Pixels of the side of a patch: a code with those around it. */
export const PATCH_SIDE = 3 * SCALE;
/** The values of a digit with nothing on it. */
export const BLANK: Float32Array<ArrayBuffer> = new Float32Array(PIXELS).fill(-1);

type Encode = (image: Float32Array<ArrayBuffer>) => Promise<Int32Array<ArrayBuffer>>;
type Decode = (codes: Int32Array<ArrayBuffer>) => Promise<Float32Array<ArrayBuffer>>;

/** Encodes and decodes digits on one device. */
export class Codec {
  /** The codebook, in the space in which codes are compared. */
  readonly codes: Codes;
  /** The codes of a digit with nothing on it. */
  readonly blank: Int32Array<ArrayBuffer>;
  /** The colour of each code. */
  readonly colours: readonly CodeColour[];
  readonly #encode: Encode;
  readonly #decode: Decode;

  /** Reads the codebook.
   * @throws {Error} the first stage has none
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
    const codes = await take(async () => {
      const tensor = stage.network.quantizer.codes();
      if (tensor === undefined) throw new Error("The first stage must have a codebook, got none");
      const [size, width] = tensor.shape;
      return { values: await tensor.floats(), size, width };
    });
    return new Codec(codes, await encode(BLANK), encode, decode);
  }

  private constructor(
    codes: Codes,
    blank: Int32Array<ArrayBuffer>,
    encode: Encode,
    decode: Decode,
  ) {
    this.codes = codes;
    this.blank = blank;
    this.colours = codeColours(codes, blank);
    this.#encode = encode;
    this.#decode = decode;
  }

  /** The codes of a digit, `[49]`. */
  encode(image: Float32Array<ArrayBuffer>): Promise<Int32Array<ArrayBuffer>> {
    return this.#encode(image);
  }

  /** The digits of codes: `[B, 49]` → `[B, 28, 28]`. */
  decode(codes: Int32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> {
    return this.#decode(codes);
  }
}

/** The pixels of a code's place and of those around it, `[12, 12]`; beyond the digit there is nothing. */
export function patchOf(image: Float32Array, place: number): Float32Array {
  const top = (Math.floor(place / GRID) - 1) * SCALE, left = (place % GRID - 1) * SCALE;
  return Float32Array.from({ length: PATCH_SIDE ** 2 }, (_, at) => {
    const y = top + Math.floor(at / PATCH_SIDE), x = left + at % PATCH_SIDE;
    return x >= 0 && x < SIDE && y >= 0 && y < SIDE ? image[y * SIDE + x] : -1;
  });
}

/** The mean squared difference of two digits. */
export function meanSquaredDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + (value - b[at]) ** 2, 0) / PIXELS;
}
