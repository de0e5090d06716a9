/** The random generator against its published vectors, and the numbers that are made of its words. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { normal, randomPermutation, uniform } from "../../core/functions/creation.ts";
import {
  boxMuller,
  gumbel,
  permutation,
  philox,
  philox4x32,
  type RandomKey,
  randomKey,
  unitInterval,
} from "../../core/random.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose } from "../tolerances.ts";
import { NORMAL } from "./agreement.ts";

const devices = await openTestDevices();
const [reference, ...others] = devices;

const KEY = randomKey(2 ** 40 + 17, "test", 3);

/** Four words, as hexadecimal. */
function hex(fill: (words: Uint32Array) => void): string {
  const words = new Uint32Array(4);
  fill(words);
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(" ");
}

Deno.test("Philox4x32-10 gives the published known answers", () => {
  // Random123's kat_vectors.
  const ones = 0xffffffff;
  const cases = [
    { counter: [0, 0, 0, 0], key: [0, 0], words: "6627e8d5 e169c58d bc57ac4c 9b00dbd8" },
    {
      counter: [ones, ones, ones, ones],
      key: [ones, ones],
      words: "408f276d 41c83b0e a20bc7c6 6d5451fd",
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      words: "d16cfe09 94fdcceb 5001e420 24126ea1",
    },
  ] as const;
  for (const { counter, key, words } of cases) {
    assert.equal(hex((out) => philox4x32(counter, key, out)), words);
  }
});

Deno.test("a key and a position determine Philox's counter and key", () => {
  const key = { seed: 2 ** 45 + 2 ** 33 + 5, stream: 0xdeadbeef, step: 0xfffffffe };
  const counter = [7, 0xfffffffe, 0xdeadbeef, 9] as const;
  const high = (2 ** 45 + 2 ** 33) / 2 ** 32;
  assert.equal(
    hex((out) => philox(key, 7, 9, out)),
    hex((out) => philox4x32(counter, [5, high], out)),
  );
});

Deno.test("a random key out of range is rejected", () => {
  assert.throws(() => randomKey(-1, "x"), {
    name: "RangeError",
    message: "Cannot make a random key: the seed must be an integer in [0, 2^53), got -1",
  });
  for (const seed of [0.5, NaN, 2 ** 53]) assert.throws(() => randomKey(seed, "x"), RangeError);
  for (const step of [-1, 1.5, 2 ** 32]) assert.throws(() => randomKey(1, "x", step), RangeError);
  assert.equal(randomKey(2 ** 53 - 1, "x", 2 ** 32 - 1).step, 2 ** 32 - 1);
  const streams = ["a", "b", "ab", "ba", "", "é"].map((name) => randomKey(1, name).stream);
  assert.equal(new Set(streams).size, streams.length);
  assert.ok(streams.every((stream) => Number.isInteger(stream) && stream >= 0 && stream < 2 ** 32));
});

Deno.test("random words become numbers within their ranges", () => {
  assert.deepEqual([unitInterval(0), unitInterval(0xffffffff)], [0, 1 - 2 ** -24]);
  for (const word of [0, 1, 255, 2 ** 31, 0xffffffff]) {
    assert.ok(Number.isFinite(gumbel(word)), `gumbel of ${word}`);
    for (const other of [0, 2 ** 31, 0xffffffff]) {
      assert.ok(boxMuller(word, other).every((value) => Math.abs(value) <= 6), `${word}, ${other}`);
    }
  }
});

for (const device of others) {
  Deno.test(`${device.name} draws the same numbers as the reference`, async () => {
    using _here = reference.scope();
    using _there = device.scope();
    for (const shape of [[1], [3, 5], [1001]]) {
      for (
        const key of [KEY, randomKey(0, ""), { seed: 1, stream: 2 ** 32 - 1, step: 2 ** 32 - 1 }]
      ) {
        const drawn = (on: typeof device) => uniform(on, shape, key).floats();
        assert.deepEqual(await drawn(device), await drawn(reference));
        const bell = (on: typeof device) => normal(on, shape, key).floats();
        assertClose(await bell(device), await bell(reference), NORMAL, "normal");
      }
    }
    const order = (on: typeof device) => randomPermutation(on, 1001, KEY).integers();
    assert.deepEqual(await order(device), await order(reference));
  });
}

testOnEach(devices, "a longer draw starts with the numbers of a shorter one", async (device) => {
  const short = await uniform(device, [5], KEY).floats();
  const long = await uniform(device, [4, 3], KEY).floats();
  assert.deepEqual(long.slice(0, 5), short);
  assert.deepEqual(await uniform(device, [5], KEY).floats(), short, "and draws are repeatable");
});

function moments(values: Float32Array): { mean: number; variance: number; kurtosis: number } {
  const average = (of: (x: number) => number) =>
    values.reduce((sum, x) => sum + of(x), 0) / values.length;
  const mean = average((x) => x);
  const variance = average((x) => (x - mean) ** 2);
  return { mean, variance, kurtosis: average((x) => (x - mean) ** 4) / variance ** 2 };
}

/** Five standard errors of a mean over this many draws of variance 1. */
const DRAWS = 100_000;
const FIVE_SIGMA = 5 / Math.sqrt(DRAWS);

testOnEach(devices, "uniform numbers have the mean and variance of their range", async (device) => {
  const values = await uniform(device, [DRAWS], KEY, -2, 4).floats();
  assert.ok(values.every((value) => value >= -2 && value <= 4));
  const { mean, variance } = moments(values);
  assert.ok(Math.abs(mean - 1) < FIVE_SIGMA * Math.sqrt(3), `mean ${mean}`);
  assert.ok(Math.abs(variance - 3) < FIVE_SIGMA * 3, `variance ${variance}`);
  const tenths = new Float64Array(10);
  for (const value of values) tenths[Math.min(9, Math.floor((value + 2) / 0.6))]++;
  const chiSquare = tenths.reduce(
    (sum, count) => sum + (count - DRAWS / 10) ** 2 / (DRAWS / 10),
    0,
  );
  assert.ok(chiSquare < 30, `chi-square of 9 degrees ${chiSquare}`);
});

testOnEach(devices, "normal numbers have the requested mean and deviation", async (device) => {
  const { mean, variance, kurtosis } = moments(await normal(device, [DRAWS], KEY, 3, 0.5).floats());
  assert.ok(Math.abs(mean - 3) < FIVE_SIGMA * 0.5, `mean ${mean}`);
  assert.ok(Math.abs(variance - 0.25) < FIVE_SIGMA * 0.25 * Math.SQRT2, `variance ${variance}`);
  assert.ok(Math.abs(kurtosis - 3) < FIVE_SIGMA * Math.sqrt(24), `kurtosis ${kurtosis}`);
});

Deno.test("Gumbel numbers have their mean and variance", () => {
  const words = new Uint32Array(4);
  const values = new Float32Array(DRAWS).map((_, i) => {
    if (i % 4 === 0) philox(KEY, i / 4, 0, words);
    return gumbel(words[i % 4]);
  });
  const { mean, variance } = moments(values);
  assert.ok(Math.abs(mean - 0.5772156649) < FIVE_SIGMA * Math.PI / Math.sqrt(6), `mean ${mean}`);
  assert.ok(Math.abs(variance - Math.PI ** 2 / 6) < 0.06, `variance ${variance}`);
});

testOnEach(devices, "keys that differ in any part draw independent numbers", async (device) => {
  const count = 20_000;
  const keys: readonly RandomKey[] = [
    KEY,
    { ...KEY, seed: KEY.seed + 1 },
    { ...KEY, seed: KEY.seed + 2 ** 32 },
    { ...KEY, stream: KEY.stream ^ 1 },
    { ...KEY, step: KEY.step + 1 },
  ];
  const draws = await Promise.all(
    keys.map((key) => uniform(device, [count], key, -Math.sqrt(3), Math.sqrt(3)).floats()),
  );
  // The last comparison is of neighbouring elements of one draw.
  const pairs = draws.flatMap((a, i) => draws.slice(i + 1).map((b) => [a, b] as const));
  for (const [a, b] of [...pairs, [draws[0], draws[0].subarray(1)] as const]) {
    const correlation = b.reduce((sum, value, i) => sum + value * a[i], 0) / b.length;
    assert.ok(Math.abs(correlation) < 5 / Math.sqrt(count), `correlation ${correlation}`);
  }
});

Deno.test("a permutation contains every number once", () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 300 }),
    fc.maxSafeNat(),
    fc.nat(),
    (length, seed, step) => {
      const order = permutation(randomKey(seed, "order", step), length);
      assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length }, (_, i) => i));
    },
  );
  fc.assert(property, { seed: 7 });
});

Deno.test("a permutation puts every number at every position equally often", () => {
  const length = 5, draws = 20_000;
  const counts = new Float64Array(length * length);
  for (let step = 0; step < draws; step++) {
    permutation(randomKey(1, "order", step), length).forEach((value, place) =>
      counts[place * length + value]++
    );
  }
  const expected = draws / length;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(chiSquare < 50, `chi-square of 16 degrees ${chiSquare}`);
});
