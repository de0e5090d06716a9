/** Sharpness on images whose spectrum is known. */
import assert from "node:assert/strict";
import type { Images } from "../../metrics/images.ts";
import { imageHighEnergy, SHARPNESS, Sharpness } from "../../metrics/sharpness.ts";
import { imagePair } from "./formula.ts";

/** Cosines of k and l half cycles over the height and the width, one of each pair a channel. */
function cosines(height: number, width: number, pairs: readonly (readonly [number, number])[]) {
  const values = new Float32Array(height * width * pairs.length);
  for (let at = 0; at < values.length; at++) {
    const [k, l] = pairs[at % pairs.length], place = Math.floor(at / pairs.length);
    const [row, column] = [Math.floor(place / width), place % width];
    values[at] = Math.cos(Math.PI * k * (row + 0.5) / height) *
      Math.cos(Math.PI * l * (column + 0.5) / width);
  }
  return { values, shape: [1, height, width, pairs.length] as const };
}

const near = (got: number, expected: number) =>
  assert.ok(Math.abs(got - expected) <= 1e-6 * Math.max(1, expected), `${got}, not ${expected}`);

async function sharpness(originals: Images, reconstructions: Images): Promise<number> {
  using metric = new Sharpness(SHARPNESS);
  await metric.add(originals, reconstructions);
  return await metric.result();
}

Deno.test("high frequencies are those from a quarter of a cycle per pixel", () => {
  // 12 values: the k-th cosine has k/24 cycles a pixel; of 20, l/40. The energy of each is a quarter of the pixels, a half
  // where one of the two is constant.
  const energy = (k: number, l: number) => imageHighEnergy(cosines(12, 20, [[k, l]]))[0];
  for (const [k, l] of [[0, 0], [5, 0], [0, 9], [4, 6]]) near(energy(k, l), 0);
  for (const [k, l] of [[6, 0], [0, 10], [11, 0]]) near(energy(k, l), 120);
  for (const [k, l] of [[5, 6], [11, 19], [1, 10]]) near(energy(k, l), 60);
  near(imageHighEnergy(cosines(12, 20, [[5, 0], [6, 0], [11, 19]]))[0], 180);
});

Deno.test("the ratio is taken over all images together and does not depend on the position of details", async () => {
  const [fine] = [cosines(8, 8, [[7, 7]])], coarse = cosines(8, 8, [[1, 1]]);
  const scaled = (by: number) => ({ ...fine, values: fine.values.map((value) => by * value) });
  near(await sharpness(fine, scaled(0.5)), 0.25);
  near(await sharpness(fine, scaled(-1)), 1);
  near(await sharpness(fine, scaled(2)), 4);
  near(await sharpness(fine, coarse), 0);
  using metric = new Sharpness(SHARPNESS);
  await metric.add(fine, fine);
  await metric.add(scaled(3), scaled(0));
  near(await metric.result(), 0.1);
});

Deno.test("a blurred image is less sharp than its original, and a noisy one is sharper", async () => {
  const [image, noisy] = imagePair([2, 16, 16, 3], 3);
  const line = 16 * 3;
  const blurred = image.values.map((value, at) =>
    at % line < 3 || at % line >= line - 3
      ? value
      : (image.values[at - 3] + 2 * value + image.values[at + 3]) / 4
  );
  assert.ok(await sharpness(image, { ...image, values: blurred }) < 0.6);
  const more = image.values.map((value, at) =>
    value + noisy.values[(at * 7) % image.values.length]
  );
  assert.ok(await sharpness(image, { ...image, values: more }) > 1.5);
});

Deno.test("flat images, no images, and mismatched shapes", async () => {
  const flat = cosines(8, 8, [[0, 0]]), zero = { ...flat, values: new Float32Array(64) };
  assert.equal(await sharpness(zero, zero), 1);
  assert.equal(await sharpness(zero, cosines(8, 8, [[7, 7]])), Infinity);
  using empty = new Sharpness(SHARPNESS);
  await assert.rejects(empty.result(), /^RangeError: Cannot give sharpness: .*, got none$/);
  await assert.rejects(
    empty.add(flat, cosines(8, 9, [[0, 0]])),
    /^TypeError: Cannot measure sharp/,
  );
});
