import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Batch,
  evaluationBatches,
  stepsPerEpoch,
  trainingBatches,
} from "../../data/batches.ts";
import type { Dataset } from "../../data/dataset.ts";
import { memoryDataset } from "../../data/memory.ts";

/** Images of one value, each its index, so that a batch tells what it holds. */
function numbered(train: number, test = 1): Dataset {
  const values = (count: number) => Float32Array.from({ length: count }, (_, index) => index / 1e4);
  return memoryDataset({
    name: "numbers",
    imageShape: [1, 1, 1],
    train: values(train),
    test: values(test),
  });
}

async function read(batches: AsyncIterable<Batch>): Promise<number[][]> {
  const read: number[][] = [];
  for await (const { images, count } of batches) {
    assert.equal(images.length, count);
    read.push([...images].map((value) => Math.round(value * 1e4)));
  }
  return read;
}

/** Whatever may be asked for. */
const requests = fc.record({
  size: fc.integer({ min: 1, max: 40 }),
  seed: fc.nat(),
  epoch: fc.nat(1000),
  batch: fc.double({ min: 0, max: 1, noNaN: true }),
  skipped: fc.double({ min: 0, max: 1, noNaN: true }),
}).map(({ size, seed, epoch, batch, skipped }) => {
  const batchSize = 1 + Math.floor(batch * (size - 1));
  const steps = Math.floor(size / batchSize);
  return { size, steps, skip: Math.floor(skipped * steps), options: { seed, epoch, batchSize } };
});

Deno.test("an epoch gives whole batches of different training images", async () => {
  await fc.assert(fc.asyncProperty(requests, async ({ size, steps, options }) => {
    const batches = await read(trainingBatches(numbered(size), options));
    assert.equal(batches.length, steps);
    assert.equal(stepsPerEpoch(numbered(size), options.batchSize), steps);
    assert.ok(batches.every(({ length }) => length === options.batchSize));
    const images = batches.flat();
    assert.equal(new Set(images).size, images.length);
    assert.ok(images.every((image) => image >= 0 && image < size));
  }));
});

Deno.test("skipping batches leaves exactly the rest of the epoch", async () => {
  await fc.assert(fc.asyncProperty(requests, async ({ size, skip, options }) => {
    const all = await read(trainingBatches(numbered(size), options));
    const rest = await read(trainingBatches(numbered(size), { ...options, skip }));
    assert.deepEqual(rest, all.slice(skip));
  }));
});

Deno.test("the order is determined by the seed and the epoch", async () => {
  const order = async (seed: number, epoch: number) =>
    (await read(trainingBatches(numbered(40), { seed, epoch, batchSize: 8 }))).flat();
  assert.deepEqual(await order(7, 3), await order(7, 3));
  const different = [await order(7, 3), await order(7, 4), await order(8, 3)];
  assert.equal(new Set(different.map(String)).size, 3);
  assert.notDeepEqual(different[0], Array.from({ length: 40 }, (_, index) => index));
});

Deno.test("evaluation gives every image in order, with a partial last batch", async () => {
  const batches = evaluationBatches(numbered(1, 10), { split: "test", batchSize: 4 });
  assert.deepEqual(await read(batches), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
  const whole = evaluationBatches(numbered(3), { split: "train", batchSize: 100 });
  assert.deepEqual(await read(whole), [[0, 1, 2]]);
});

/** A data set that says when it starts to load a batch, and may fail to. */
function watched(inner: Dataset, failAt = Infinity): { dataset: Dataset; loads: number[] } {
  const loads: number[] = [];
  const { name, imageShape, sizes, variance } = inner;
  const dataset: Dataset = {
    name,
    imageShape,
    sizes,
    variance,
    async images(split, indices) {
      loads.push(loads.length);
      if (loads.length > failAt) throw new Error("the disk is gone");
      return await inner.images(split, indices);
    },
  };
  return { dataset, loads };
}

Deno.test("exactly one batch is loaded ahead", async () => {
  const { dataset, loads } = watched(numbered(12));
  let taken = 0;
  const options = { seed: 1, epoch: 0, batchSize: 3 };
  for await (const _ of trainingBatches(dataset, options)) {
    taken++;
    assert.equal(loads.length, Math.min(taken + 1, 4));
  }
  assert.equal(taken, 4);
});

Deno.test("skipped batches are not loaded", async () => {
  const { dataset, loads } = watched(numbered(12));
  await read(trainingBatches(dataset, { seed: 1, epoch: 0, batchSize: 3, skip: 3 }));
  assert.equal(loads.length, 1);
});

Deno.test("a batch that cannot be loaded fails at its turn, not before", async () => {
  const { dataset } = watched(numbered(12), 1);
  const batches = trainingBatches(dataset, { seed: 1, epoch: 0, batchSize: 3 });
  assert.equal((await batches.next()).value.count, 3);
  await new Promise((resolve) => setTimeout(resolve, 1));
  await assert.rejects(batches.next(), /the disk is gone/);
  await read(
    trainingBatches(watched(numbered(12), 0).dataset, { seed: 1, epoch: 0, batchSize: 12 }),
  )
    .then(() => assert.fail("must fail"), (error) => assert.match(error.message, /disk is gone/));
});

Deno.test("stopping before a failed batch's turn ignores its error", async () => {
  const { dataset } = watched(numbered(12), 1);
  for await (const _ of trainingBatches(dataset, { seed: 1, epoch: 0, batchSize: 3 })) break;
  await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("an invalid batch size is rejected at once", () => {
  const dataset = numbered(12);
  assert.throws(() => trainingBatches(dataset, { seed: 1, epoch: 0, batchSize: 13 }), {
    name: "RangeError",
    message:
      "Cannot make batches: the batch size must be at most the 12 training images of numbers, got 13",
  });
  for (const batchSize of [0, -1, 1.5, NaN]) {
    const message =
      `Cannot make batches: the batch size must be a positive integer, got ${batchSize}`;
    assert.throws(() => stepsPerEpoch(dataset, batchSize), { name: "RangeError", message });
    assert.throws(() => evaluationBatches(dataset, { split: "test", batchSize }), { message });
  }
});

/** The same images, read in sequence. */
function inSequence(dataset: Dataset): Dataset {
  const { name, imageShape, sizes, variance } = dataset;
  return {
    ...{ name, imageShape, sizes, variance, images: dataset.images.bind(dataset) },
    async *sequence(split, { batchSize, wanted = (_, count) => [0, count] }) {
      for (let start = 0; start < sizes[split]; start += batchSize) {
        const [from, to] = wanted(start / batchSize, Math.min(batchSize, sizes[split] - start));
        const indices = Int32Array.from({ length: to - from }, (_, place) => start + from + place);
        if (from < to) yield { images: await dataset.images(split, indices), labels: indices };
      }
    },
  };
}

for (
  const [what, make] of [["by index", (set: Dataset) => set], ["in sequence", inSequence]] as const
) {
  Deno.test(`the parts of a batch together equal the batch, read ${what}`, async () => {
    const dataset = make(numbered(30, 11)), options = { seed: 7, epoch: 2, batchSize: 12, skip: 1 };
    const part = (rank: number) => ({ rank, count: 3 });
    const parts = await Promise.all(
      [0, 1, 2].map((rank) => read(trainingBatches(dataset, { ...options, part: part(rank) }))),
    );
    const [whole] = await read(trainingBatches(dataset, options));
    assert.deepEqual(parts.map((batches) => batches.length), [1, 1, 1]);
    assert.deepEqual(parts.flatMap(([batch]) => batch), whole);

    const firsts: number[][] = [];
    for (const rank of [0, 1, 2]) {
      const own = evaluationBatches(dataset, { split: "test", batchSize: 2, part: part(rank) });
      for await (const { first, images } of own) {
        firsts.push([first!, ...Array.from(images, (value) => Math.round(value * 1e4))]);
      }
    }
    assert.deepEqual(firsts.map(([first]) => first), [0, 6, 2, 8, 4, 10]);
    assert.ok(firsts.every(([first, image]) => first === image));
    assert.equal(firsts.reduce((sum, { length }) => sum + length - 1, 0), 11);
  });
}

Deno.test("a number of parts that does not divide the batch is rejected at once", () => {
  assert.throws(
    () =>
      trainingBatches(numbered(9), {
        ...{ seed: 7, epoch: 0, batchSize: 4 },
        part: { rank: 0, count: 3 },
      }),
    new RangeError(
      "Cannot make batches: the batch size must be a multiple of the 3 parts, got 4",
    ),
  );
});
