/** The bit rate of the codes of images. */

/** Bits per image and per pixel: the means over the images and over all their pixels. */
export interface Bits {
  /** Bits per image. */
  readonly image: number;
  /** Bits per pixel. */
  readonly pixel: number;
}

/** The bit rate of the codes of some images. */
export interface Rate {
  /** The rate if every index takes log₂ of the number of codes it is chosen from. */
  readonly uniform: Bits;
  /** The rate if every index takes the entropy of the code frequencies, computed separately for each code of a position.
   * No coder that treats indices as independent needs less. */
  readonly entropy: Bits;
}

/** Counts the codes of images as they are added.
 *
 * ```ts
 * import { CodeRate } from "./code_rate.ts";
 * import assert from "node:assert/strict";
 * const rate = new CodeRate({ choices: 4, codesPerPlace: 1 });
 * rate.add(Int32Array.of(0, 3, 3, 0), 64);
 * assert.deepEqual(rate.result(), {
 *   uniform: { image: 8, pixel: 1 / 8 },
 *   entropy: { image: 4, pixel: 1 / 16 },
 * });
 * ```
 */
export class CodeRate {
  readonly #choices: number;
  readonly #counts: readonly Map<number, number>[];
  #images = 0;
  #pixels = 0;
  #indices = 0;

  /** Starts with no counts.
   * @param choices the number of codes that an index is chosen from
   */
  constructor(
    { choices, codesPerPlace }: { readonly choices: number; readonly codesPerPlace: number },
  ) {
    this.#choices = choices;
    this.#counts = Array.from({ length: codesPerPlace }, () => new Map());
  }

  /** Adds the codes of an image.
   * @param indices `[..., codesPerPlace]`
   */
  add(indices: Int32Array, pixels: number): void {
    this.#images++;
    this.#pixels += pixels;
    this.#indices += indices.length;
    indices.forEach((code, at) => {
      const counts = this.#counts[at % this.#counts.length];
      counts.set(code, (counts.get(code) ?? 0) + 1);
    });
  }

  /** The bit rate of all images so far.
   * @throws {RangeError} there is no image
   */
  result(): Rate {
    if (this.#images === 0) {
      throw new RangeError("Cannot measure the rate: there must be an image, got none");
    }
    const perPlace = this.#indices / this.#counts.length;
    const entropy = this.#counts.reduce((bits, counts) => {
      for (const count of counts.values()) bits -= count * Math.log2(count / perPlace);
      return bits;
    }, 0);
    const bits = (total: number) => ({
      image: total / this.#images,
      pixel: total / this.#pixels,
    });
    return {
      uniform: bits(this.#indices * Math.log2(this.#choices)),
      entropy: bits(entropy),
    };
  }
}
