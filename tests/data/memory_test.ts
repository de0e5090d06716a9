import assert from "node:assert/strict";
import { memoryDataset } from "../../data/memory.ts";

const train = Float32Array.of(-1, -0.5, 0, 0.5, 1, 1, 0.25, -0.75);
const test = Float32Array.of(0.5, -0.5);
const dataset = memoryDataset({ name: "dots", imageShape: [1, 2, 1], train, test });

Deno.test("a data set in memory gives its images by index, in the requested order", async () => {
  assert.deepEqual(dataset.sizes, { train: 4, test: 1 });
  const images = await dataset.images("train", Int32Array.of(2, 0, 2));
  assert.deepEqual(images, Float32Array.of(1, 1, -1, -0.5, 1, 1));
  assert.deepEqual(await dataset.images("test", Int32Array.of(0)), test);
});

Deno.test("arrays from a data set in memory can be overwritten", async () => {
  (await dataset.images("test", Int32Array.of(0))).fill(7);
  assert.deepEqual(await dataset.images("test", Int32Array.of(0)), Float32Array.of(0.5, -0.5));
});

Deno.test("the variance is that of the training values on the [0, 1] scale", () => {
  const scaled = [...train].map((value) => (value + 1) / 2);
  const mean = scaled.reduce((sum, value) => sum + value) / scaled.length;
  const variance = scaled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / scaled.length;
  assert.ok(Math.abs(dataset.variance - variance) < 1e-12);
});

Deno.test("an index out of range is rejected", async () => {
  for (const index of [-1, 1]) {
    await assert.rejects(dataset.images("test", Int32Array.of(index)), {
      name: "RangeError",
      message: `Cannot read dots: the index of a test image must be in [0, 1), got ${index}`,
    });
  }
});

Deno.test("values that are not whole images, are missing, or are out of range are rejected", () => {
  const make = (change: Partial<Parameters<typeof memoryDataset>[0]>) => () =>
    memoryDataset({ name: "dots", imageShape: [1, 2, 1], train, test, ...change });
  assert.throws(make({ train: train.slice(0, 3) }), /train must hold whole images.*got 3 values/);
  assert.throws(
    make({ test: new Float32Array(0) }),
    /test must hold .* at least one, got 0 values/,
  );
  assert.throws(make({ test: Float32Array.of(0, 1.5) }), /every test value .*, got 1.5/);
  assert.throws(make({ train: Float32Array.of(0, NaN) }), /every train value .*, got NaN/);
  assert.throws(make({ imageShape: [0, 2, 1] }), /positive integer .*, got shape \[0, 2, 1\]/);
});
