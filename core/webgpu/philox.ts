/** Philox4x32-10 in WGSL, with the layout of core/random.ts. */
import type { RandomKey } from "../random.ts";

/** The `numbers` for a key. */
export const KEY_NUMBERS: readonly string[] = [
  "seed_low: u32",
  "seed_high: u32",
  "step: u32",
  "stream: u32",
];

/** Their values. */
export function keyNumbers({ seed, step, stream }: RandomKey): number[] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, step >>> 0, stream >>> 0];
}

/** WGSL: `random_words(block, row)` returns the four words of a block for the key in `numbers`, and `unit_interval(word)`
 * a number in [0, 1). */
export const PHILOX = `
fn high_word(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let middle_low = (middle & 0xffffu) + a_low * b_high;
  return a_high * b_high + (middle >> 16u) + (middle_low >> 16u);
}
fn random_words(block: u32, row: u32) -> vec4<u32> {
  var c = vec4<u32>(block, numbers.step, numbers.stream, row);
  var key = vec2<u32>(numbers.seed_low, numbers.seed_high);
  for (var round = 0; round < 10; round++) {
    c = vec4<u32>(
      high_word(0xcd9e8d57u, c.z) ^ c.y ^ key.x,
      0xcd9e8d57u * c.z,
      high_word(0xd2511f53u, c.x) ^ c.w ^ key.y,
      0xd2511f53u * c.x,
    );
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
fn unit_interval(word: u32) -> f32 { return f32(word >> 8u) * 5.9604644775390625e-8; }`;

/** WGSL: `gumbel(word)`, a standard Gumbel number; needs the function `logarithm`. */
export const GUMBEL = `
fn gumbel(word: u32) -> f32 {
  let u = (f32(word >> 9u) + 0.5) * 1.1920928955078125e-7;
  return -logarithm(-logarithm(u));
}`;
