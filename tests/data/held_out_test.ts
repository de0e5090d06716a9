import assert from "node:assert/strict";
import { holdOut } from "../../data/held_out.ts";
import { memoryDataset } from "../../data/memory.ts";

const numbers = (count: number, first: number) =>
  Float32Array.from({ length: count }, (_, at) => (first + at) / 100);

const dataset = memoryDataset({
  name: "numbers",
  imageShape: [1, 1, 1],
  train: numbers(20, 0),
  test: numbers(3, 50),
  labels: {
    train: Int32Array.from({ length: 20 }, (_, at) => at % 4),
    test: Int32Array.of(1, 2, 3),
  },
  classes: ["a", "b", "c", "d"],
});

const all = async (of: typeof dataset, split: "train" | "test") =>
  [...await of.images(split, Int32Array.from({ length: of.sizes[split] }, (_, at) => at))]
    .map((value) => Math.round(value * 100));

Deno.test("every training image is in one of the parts, with its label, and the test images stay the same", async () => {
  const { training, validation } = holdOut(dataset, 0.25, 7);
  assert.deepEqual([training.sizes, validation.sizes.test], [
    { train: 15, validation: 5, test: 3 },
    5,
  ]);
  const [kept, held] = [await all(training, "train"), await all(validation, "test")];
  assert.deepEqual(
    [...kept, ...held].sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, at) => at),
  );
  assert.deepEqual([...training.labels!.train], kept.map((image) => image % 4));
  assert.deepEqual([...validation.labels!.test], held.map((image) => image % 4));
  assert.deepEqual(await all(training, "test"), [50, 51, 52]);
  assert.equal(training.variance, dataset.variance);
});

Deno.test("the seed chooses the held-out images, and a share that leaves a part empty is rejected", async () => {
  const held = (seed: number) => all(holdOut(dataset, 0.25, seed).validation, "test");
  assert.deepEqual(await held(7), await held(7));
  assert.notDeepEqual(await held(7), await held(8));
  assert.equal(holdOut(dataset, 0.001, 7).validation.sizes.test, 1);
  assert.equal(holdOut(dataset, 0.999, 7).training.sizes.train, 1);
  for (const share of [0, 1, NaN]) {
    assert.throws(() => holdOut(dataset, share, 7), /the share must be in \(0, 1\), got/);
  }
  const streamed = { ...dataset, images: dataset.images.bind(dataset), async *sequence() {} };
  assert.throws(() => holdOut(streamed, 0.5, 7), /must be read by index/);
});
