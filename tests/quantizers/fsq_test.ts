import assert from "node:assert/strict";
import fc from "fast-check";
import { backward } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { digitsToIndices, indicesToDigits } from "../../quantizers/mixed_radix.ts";
import { FSQQuantizer } from "../../quantizers/fsq.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { dot, judged, leaf, slopes } from "./slopes.ts";

const devices = await openTestDevices();
const [reference] = devices;
const context = { training: true, key: randomKey(1, "fsq") };

/** bound(z) of the paper's App. A.1, for one channel. */
function bound(z: number, level: number): number {
  const half = (level - 1) * (1 - 1e-3) / 2, offset = level % 2 === 1 ? 0 : 0.5;
  return Math.tanh(z + Math.tan(offset / half)) * half - offset;
}

const LEVELS = [8, 5, 2, 7];
const SHAPE = [3, 2, 5, 4];

testOnEach(devices, "fsq: forward and gradient", async (device) => {
  const z = draw(SHAPE, "features", -4, 4), upstream = draw(SHAPE, "up");
  const quantizer = new FSQQuantizer(device, { levels: LEVELS });
  const features = leaf(device, z, SHAPE);
  const result = quantizer.quantize(features, context);
  const [gradient] = backward(judged(result, device.tensor(upstream, SHAPE)), [features]);

  const level = (i: number) => LEVELS[i % 4];
  const scaled = (x: readonly number[]) =>
    x.map((value, i) => bound(value, level(i)) / Math.floor(level(i) / 2));
  const codes = Array.from(
    z,
    (value, i) => Math.round(bound(value, level(i))) / Math.floor(level(i) / 2),
  );
  assertClose(await result.quantized.floats(), codes, EQUATIONS, "codes");
  const expected = slopes((x) => dot(scaled(x), upstream), z);
  assertClose(await gradient.floats(), expected, EQUATIONS, "gradient");
  const indices = Array.from({ length: 30 }, (_, n) => {
    const digit = (i: number) =>
      Math.round(bound(z[n * 4 + i], LEVELS[i])) + Math.floor(LEVELS[i] / 2);
    return digit(0) + 8 * (digit(1) + 5 * (digit(2) + 2 * digit(3)));
  });
  assert.deepEqual([...await result.indices.integers()], indices);
  assert.deepEqual(result.losses, {});
});

Deno.test("the code table of levels 3, 2 is the paper's grid, and the first channel changes fastest", async () => {
  using _scope = reference.scope();
  const quantizer = new FSQQuantizer(reference, { levels: [3, 2] });
  const all = reference.tensor(Int32Array.of(0, 1, 2, 3, 4, 5, -1), [7]);
  const table = [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [0, 0]];
  assert.deepEqual([...await quantizer.lookup(all).floats()].map((x) => x + 0), table.flat());
});

testOnEach(devices, "every code of a grid survives lookup and quantisation", async (device) => {
  for (const levels of [[8, 5, 5, 5], [2], [3, 2, 4], [7, 7, 9]]) {
    using _scope = device.scope();
    const quantizer = new FSQQuantizer(device, { levels });
    const all = device.tensor(
      Int32Array.from({ length: quantizer.codebookSize }, (_, index) => index),
      [quantizer.codebookSize],
    );
    const codes = await quantizer.lookup(all).floats();
    assert.ok(codes.every((value) => Math.abs(value) <= 1));
    assert.equal(new Set(rows(codes, levels.length)).size, quantizer.codebookSize);
    // atanh of the middle of each level's interval undoes the bound.
    const inverse = codes.map((value, i) => {
      const level = levels[i % levels.length], half = (level - 1) * (1 - 1e-3) / 2;
      const offset = level % 2 === 1 ? 0 : 0.5;
      const inside = (value * Math.floor(level / 2) + offset) / half;
      return Math.atanh(Math.max(-0.999, Math.min(0.999, inside))) - Math.tan(offset / half);
    });
    const features = device.tensor(inverse, [quantizer.codebookSize, levels.length]);
    const { indices, usage } = quantizer.quantize(features, context);
    assert.deepEqual(await indices.integers(), await all.integers());
    assert.ok((await usage.integers()).every((count) => count === 1));
  }
});

testOnEach(devices, "digits and indices of large grids are exact", async (device) => {
  const property = fc.asyncProperty(
    fc.constantFrom([1024, 1024], Array(20).fill(2), [3, 7, 11, 13, 17, 19], [999, 1009]),
    fc.array(fc.nat(2 ** 20 - 1), { minLength: 1, maxLength: 50 }),
    async (levels: number[], drawn) => {
      using _scope = device.scope();
      const size = levels.reduce((a, b) => a * b);
      const indices = device.tensor(Int32Array.from(drawn, (index) => index % size), [
        drawn.length,
      ]);
      const digits = indicesToDigits(indices, levels);
      const values = await digits.floats();
      assert.ok(values.every((digit, i) => digit >= 0 && digit < levels[i % levels.length]));
      assert.deepEqual(
        await digitsToIndices(digits, levels).integers(),
        await indices.integers(),
      );
    },
  );
  await fc.assert(property, { seed: 7, numRuns: 12 });
});

Deno.test("invalid levels are rejected", () => {
  const make = (...levels: number[]) => () => new FSQQuantizer(reference, { levels });
  assert.throws(make(), {
    name: "RangeError",
    message: /levels must be one or more, .* got \[\]$/,
  });
  assert.throws(make(8, 1), /each an integer of at least 2, got \[8,1\]$/);
  assert.throws(make(1024, 1024, 2), {
    name: "RangeError",
    message: /the product of the levels must be at most 1048576, got 2097152$/,
  });
});

function rows(values: ArrayLike<number>, width: number): string[] {
  return Array.from(
    { length: values.length / width },
    (_, row) => Array.from(values).slice(row * width, (row + 1) * width).join(),
  );
}
