/** Numbers that need no file: tests/fixtures/metrics/formula.py computes the same. */
import type { Images } from "../../metrics/images.ts";
import { sizeOf } from "../../core/shape.ts";

/** Multiples of 2^−24 in [0, 1): a hash (the finaliser of MurmurHash3) of place and seed. */
export function uniform(count: number, seed: number): Float64Array {
  const values = new Float64Array(count);
  for (let place = 0; place < count; place++) {
    let h = place + 1 + Math.imul(seed, 0x9e3779b1);
    h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
    h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
    values[place] = ((h ^ h >>> 16) >>> 8) / 2 ** 24;
  }
  return values;
}

/** Images in [0, 1] and others near them, put on another scale. */
export function imagePair(
  shape: Images["shape"],
  seed: number,
  scale: (value: number) => number = (value) => value,
): [Images, Images] {
  const first = uniform(sizeOf(shape), seed), noise = uniform(sizeOf(shape), seed + 1);
  const near = first.map((value, at) => 0.75 * value + 0.25 * noise[at]);
  const images = (values: Float64Array): Images => ({
    values: Float32Array.from(Float32Array.from(values), scale),
    shape,
  });
  return [images(first), images(near)];
}

/** A committed file of numbers. */
export async function readExpected<T>(name: string): Promise<T> {
  return JSON.parse(
    await Deno.readTextFile(new URL(`../fixtures/metrics/${name}.json`, import.meta.url)),
  );
}
