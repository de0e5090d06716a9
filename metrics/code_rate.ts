/** What the codes of images cost. */

/** Bits an image and a pixel: the mean over the images, and over all their pixels. */
export interface Bits {
  /** Bits an image. */
  readonly image: number;
  /** Bits a pixel. */
  readonly pixel: number;
}

/** What the codes of some images cost. */
export interface Rate {
  /** Where every index takes log₂ of how many codes it is chosen from. */
  readonly uniform: Bits;
  /** Where it takes the entropy of how often the codes were chosen, of each of a place's codes by itself: no coder that
   * takes the indices for independent needs less. */
  readonly entropy: Bits;
}

/** Counts the codes of images as they come.
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

  /** Nothing is counted yet.
   * @param choices how many codes an index is chosen from
   */
  constructor(
    { choices, codesPerPlace }: { readonly choices: number; readonly codesPerPlace: number },
  ) {
    this.#choices = choices;
    this.#counts = Array.from({ length: codesPerPlace }, () => new Map());
  }

  /** Takes the codes of an image.
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

  /** The bits of all images so far.
   * @throws {RangeError} there is none
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
