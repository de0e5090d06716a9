/** Philox4x32-10, the counter-based random generator of every device.
 *
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Each number is a pure function of its key
 * and its position. So every device draws the same numbers, and there is no hidden state to save.
 *
 * Layout, on every device: key words = the low and high 32 bits of `seed`; counter words =
 * (block, step, stream, row). Element `i` of a plain draw is word `i % 4` of block `⌊i / 4⌋`, row 0.
 */

/** The key of a random draw. */
export interface RandomKey {
  /** The run's seed, an integer in [0, 2^53). */
  readonly seed: number;
  /** The purpose of the numbers, an integer in [0, 2^32); `randomKey` derives it from a name. */
  readonly stream: number;
  /** The time of the draw, an integer in [0, 2^32): usually the training step. */
  readonly step: number;
}

/** Makes a key from a seed, the name of a purpose, and a step.
 *
 * ```ts
 * import { randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.notEqual(randomKey(7, "shuffle").stream, randomKey(7, "anchors").stream);
 * ```
 * @throws {RangeError} the seed or the step is out of range
 */
export function randomKey(seed: number, purpose: string, step = 0): RandomKey {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(
      `Cannot make a random key: the seed must be an integer in [0, 2^53), got ${seed}`,
    );
  }
  if (!Number.isInteger(step) || step < 0 || step >= 2 ** 32) {
    throw new RangeError(
      `Cannot make a random key: the step must be an integer in [0, 2^32), got ${step}`,
    );
  }
  let stream = 0x811c9dc5; // FNV-1a
  for (const byte of new TextEncoder().encode(purpose)) {
    stream = Math.imul(stream ^ byte, 0x01000193);
  }
  return { seed, stream: stream >>> 0, step };
}

function highWord(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const middleLow = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 65536) + (middleLow >>> 16)) >>> 0;
}

/** Philox4x32-10 itself: writes four 32-bit words to `out`, computed from a counter of four words and a key of two. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = highWord(0xd2511f53, c0), low0 = Math.imul(0xd2511f53, c0);
    const high1 = highWord(0xcd9e8d57, c2), low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Writes the four 32-bit words of block `block` in row `row` under `key` to `out`. */
export function philox(key: RandomKey, block: number, row: number, out: Uint32Array): void {
  const high = Math.floor(key.seed / 2 ** 32);
  philox4x32([block, key.step, key.stream, row], [key.seed >>> 0, high], out);
}

/** A uniform number in [0, 1) from a word: its 24 high bits. */
export function unitInterval(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** A normal number from two words (Box–Muller): `sqrt(−2 ln u₁)` times the cosine (even elements) or the sine (odd
 * elements) of `2π u₂`, where u₁ in (0, 1] is made from word 0 or 2, and u₂ in [0, 1) from word 1 or 3. */
export function boxMuller(first: number, second: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(((first >>> 8) + 1) * 2 ** -24));
  const angle = 2 * Math.PI * unitInterval(second);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** A standard Gumbel number from a word: `−ln(−ln u)`, u = (23 high bits + ½)·2⁻²³, never infinite. */
export function gumbel(word: number): number {
  return -Math.log(-Math.log(((word >>> 9) + 0.5) * 2 ** -23));
}

/** A seeded permutation of 0 … length − 1 (Fisher–Yates over Philox words).
 *
 * ```ts
 * import { permutation, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual([...permutation(randomKey(1, "shuffle"), 5)].sort(), [0, 1, 2, 3, 4]);
 * ```
 */
export function permutation(key: RandomKey, length: number): Int32Array<ArrayBuffer> {
  const order = Int32Array.from({ length }, (_, index) => index);
  const words = new Uint32Array(4);
  for (let last = length - 1, drawn = 0; last > 0; last--, drawn++) {
    if (drawn % 4 === 0) philox(key, drawn >>> 2, 0, words);
    const other = Math.floor(words[drawn % 4] * 2 ** -32 * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
