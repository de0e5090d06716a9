import assert from "node:assert/strict";
import { byteDataset } from "../../data/bytes.ts";

const train = Uint8Array.of(0, 255, 51, 204, 100, 7);
const dataset = byteDataset({
  name: "dots",
  imageShape: [1, 2, 1],
  train,
  test: train.slice(0, 2),
});

Deno.test("bytes are scaled to [−1, 1] and given by index, in the requested order", async () => {
  assert.deepEqual(dataset.sizes, { train: 3, test: 1 });
  const images = await dataset.images("train", Int32Array.of(1, 0, 1));
  assert.deepEqual(images, Float32Array.of(-0.6, 0.6, -1, 1, -0.6, 0.6));
  await assert.rejects(dataset.images("test", Int32Array.of(1)), {
    name: "RangeError",
    message: "Cannot read dots: the index of a test image must be in [0, 1), got 1",
  });
});

Deno.test("the variance of bytes is that of the training values on the [0, 1] scale", () => {
  const scaled = [...train].map((byte) => byte / 255);
  const mean = scaled.reduce((sum, value) => sum + value) / scaled.length;
  const variance = scaled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / scaled.length;
  assert.ok(Math.abs(dataset.variance - variance) < 1e-12);
});

Deno.test("bytes that are not whole images, or none, are rejected", () => {
  for (const length of [0, 3]) {
    assert.throws(
      () =>
        byteDataset({ name: "dots", imageShape: [1, 2, 1], train, test: new Uint8Array(length) }),
      { name: "RangeError", message: new RegExp(`test must hold whole .*, got ${length} bytes`) },
    );
  }
});
