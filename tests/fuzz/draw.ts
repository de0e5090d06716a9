/** What an input is made from: random choices that its seed fixes, and lies about counts, offsets and lengths. */
import { philox, randomKey } from "../../core/random.ts";

/** Values that counts, offsets and lengths like to break at. */
const EXTREMES = [
  ...[0, 1, 2, 3, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 2 ** 20],
  ...[2 ** 24, 2 ** 24 - 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff],
];

/** Random choices, the same for the same format and seed. */
export class Draw {
  readonly #words = new Uint32Array(4);
  readonly #key;
  #block = 0;
  /** How often a number lies; never in a quarter of the inputs. */
  readonly #lies: number;

  /** Starts at the first choice. */
  constructor(format: string, seed: number) {
    this.#key = randomKey(seed, `fuzz ${format}`);
    this.#lies = this.pick([0, 0.02, 0.1, 0.3]);
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    if (this.#block % 4 === 0) philox(this.#key, this.#block >>> 2, 0, this.#words);
    return Math.floor(this.#words[this.#block++ % 4] * 2 ** -32 * limit);
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.below(2 ** 20) < probability * 2 ** 20;
  }

  /** One of some values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** How often something is repeated: mostly a few times, sometimes thousands. */
  repeats(most = 2 ** 14): number {
    return 1 + this.below(Math.min(most, this.pick([2, 4, 4, 16, 16, 256, 4096, 2 ** 14])));
  }

  /** A number that a file says of itself: the true one, its neighbour, a multiple, or an extreme one. */
  lie(truth: number, most = 0xffffffff): number {
    if (!this.chance(this.#lies)) return truth;
    const value = this.pick([
      () => truth + 1,
      () => truth - 1,
      () => truth * this.pick([2, 16, 1000]),
      () => this.below(2 * truth + 16),
      () => this.pick(EXTREMES),
    ])();
    return Math.max(0, Math.min(most, value));
  }

  /** Bytes: zeros, all the same, or random ones. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const kind = this.below(3), byte = this.below(256);
    return Uint8Array.from({ length }, () => kind === 0 ? 0 : kind === 1 ? byte : this.below(256));
  }

  /** A name of letters. */
  name(length = 1 + this.below(12)): string {
    return this.pick(["a", "image", "bytes", "x.y", "é", "0"]).repeat(length).slice(0, length);
  }
}
