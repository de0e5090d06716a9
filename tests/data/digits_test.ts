import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openDigits } from "../../data/digits.ts";

const digits = await openDigits();

/** The images of one digit, read the plain way: each an array of 784 values in [0, 1]. */
async function imagesOf(digit: number): Promise<number[][]> {
  const { default: { data } } = await import(`mnist/src/digits/${digit}.json`, {
    with: { type: "json" },
  });
  return Array.from({ length: data.length / 784 }, (_, i) => data.slice(i * 784, (i + 1) * 784));
}

Deno.test("the digits are 9,003 training and 997 test images of 28×28", async () => {
  assert.equal(digits.name, "digits");
  assert.deepEqual(digits.imageShape, [28, 28, 1]);
  assert.deepEqual(digits.sizes, { train: 9003, test: 997 });
  assert.equal((await digits.images("test", Int32Array.of(0, 996))).length, 2 * 784);
});

Deno.test("every tenth image of each digit is a test image, and the others are for training", async () => {
  const plain: Record<"train" | "test", number[][]> = { train: [], test: [] };
  for (let digit = 0; digit < 10; digit++) {
    (await imagesOf(digit)).forEach((image, position) =>
      plain[position % 10 === 9 ? "test" : "train"].push(image)
    );
  }
  for (const split of ["train", "test"] as const) {
    const every = Int32Array.from({ length: digits.sizes[split] }, (_, index) => index);
    const images = await digits.images(split, every);
    const expected = Float32Array.from(plain[split].flat(), (value) => 2 * value - 1);
    assert.ok(Buffer.from(images.buffer).equals(Buffer.from(expected.buffer)), split);
  }
  const values = plain.train.flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.ok(Math.abs(digits.variance / variance - 1) < 1e-6, `${digits.variance}, ${variance}`);
});

Deno.test("the digits' values span [−1, 1]", async () => {
  const every = Int32Array.from({ length: digits.sizes.test }, (_, index) => index);
  const images = await digits.images("test", every);
  const extremes = images.reduce(([low, high], value) => [
    Math.min(low, value),
    Math.max(high, value),
  ], [Infinity, -Infinity]);
  assert.deepEqual(extremes, [-1, 1]);
});
