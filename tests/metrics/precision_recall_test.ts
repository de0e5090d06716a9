/** Precision, recall, density and coverage, against their definitions written as loops over all pairs. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device } from "../../core/tensor.ts";
import { exactSquare, prepareFeatures, visitPairs } from "../../metrics/distance_bounds.ts";
import type { Features } from "../../metrics/kernel_distance.ts";
import { type NeighbourhoodMetrics, neighbourhoodMetrics } from "../../metrics/precision_recall.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

/** Rows of numbers. */
type Rows = readonly (readonly number[])[];

function plainMetrics(real: Rows, generated: Rows, k: number): NeighbourhoodMetrics {
  const distance = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, at) => sum + (value - y[at]) ** 2, 0);
  const radii = (set: Rows) =>
    set.map((x, i) =>
      set.filter((_, j) => j !== i).map((y) => distance(x, y)).sort((a, b) => a - b)[k - 1]
    );
  const ofReal = radii(real), ofGenerated = radii(generated);
  let precise = 0, recalled = 0, balls = 0, covered = 0;
  for (const y of generated) {
    const holding = real.filter((x, i) => distance(x, y) <= ofReal[i]).length;
    balls += holding;
    if (holding > 0) precise++;
  }
  real.forEach((x, i) => {
    if (generated.some((y, j) => distance(x, y) <= ofGenerated[j])) recalled++;
    if (generated.some((y) => distance(x, y) <= ofReal[i])) covered++;
  });
  return {
    precision: precise / generated.length,
    recall: recalled / real.length,
    density: balls / (k * generated.length),
    coverage: covered / real.length,
  };
}

const featuresOf = (rows: Rows): Features => ({
  values: Float32Array.from(rows.flat()),
  count: rows.length,
});

function rowsOf({ values, count }: Features): Rows {
  const dimensions = values.length / count;
  return Array.from(
    { length: count },
    (_, row) => [...values.subarray(row * dimensions, (row + 1) * dimensions)],
  );
}

async function assertPlain(device: Device, real: Features, generated: Features, k: number) {
  assert.deepEqual(
    await neighbourhoodMetrics(device, real, generated, { neighbours: k }),
    plainMetrics(rowsOf(real), rowsOf(generated), k),
  );
}

const devices = await openTestDevices();

testOnEach(devices, "the four metrics agree with loops over all pairs", async (device) => {
  const set = (count: number, dimensions: number, purpose: string, shift: number): Features => ({
    values: draw([count, dimensions], purpose).map((value) => value + shift),
    count,
  });
  for (const [dimensions, shift] of [[1, 0.3], [7, 0.1], [64, 0.02], [64, 1000]] as const) {
    const real = set(90, dimensions, "real", shift);
    const generated = set(70, dimensions, "generated", shift === 1000 ? shift : 0);
    for (const k of [1, 3, 69]) await assertPlain(device, real, generated, k);
  }
});

testOnEach(devices, "sets of several blocks agree with loops too", async (device) => {
  const set = (count: number, purpose: string): Features => ({
    values: draw([count, 3], purpose),
    count,
  });
  await assertPlain(device, set(1100, "many real"), set(1030, "many generated"), 3);
});

testOnEach(devices, "the bounds contain every exact distance, and are narrow", async (device) => {
  const set = (purpose: string, count: number): Features => ({
    values: draw([count, 200], purpose, -1, 3),
    count,
  });
  const [a, b] = prepareFeatures([set("left", 30), set("right", 40)], "test");
  let seen = 0;
  const everywhere = { a: new Float64Array(30).fill(Infinity), b: new Float64Array(40) };
  await visitPairs(device, a, b, everywhere, (i, j, least, most) => {
    const square = exactSquare(a, i, b, j);
    assert.ok(least <= square && square <= most, `${least} ≤ ${square} ≤ ${most}`);
    assert.ok(most - least < 1e-3 * square, `${most - least} of ${square}`);
    seen++;
  });
  assert.equal(seen, 30 * 40);
});

// Few whole numbers: most distances are tied with others, and many features are equal.
const grid = (dimensions: number) =>
  fc.array(
    fc.array(fc.integer({ min: -1, max: 2 }), { minLength: dimensions, maxLength: dimensions }),
    { minLength: 5, maxLength: 14 },
  );
const grids = fc.integer({ min: 1, max: 4 }).chain((dimensions) =>
  fc.tuple(grid(dimensions), grid(dimensions), fc.integer({ min: 1, max: 4 }))
);

testOnEach(
  devices.slice(0, 2),
  "ties and equal features come out as in the loops",
  async (device) => {
    await fc.assert(
      fc.asyncProperty(
        grids,
        fc.constantFrom(0.1, 1, 3e18),
        async ([real, generated, k], scale) => {
          const [x, y] = [real, generated].map((rows) =>
            featuresOf(rows.map((row) => row.map((value) => value * scale)))
          );
          await assertPlain(device, x, y, k);
        },
      ),
      { numRuns: 60, seed: 20240708 },
    );
  },
);

testOnEach(devices.slice(0, 2), "what holds of all sets holds", async (device) => {
  await fc.assert(
    fc.asyncProperty(grids, async ([real, generated, k]) => {
      const [x, y] = [featuresOf(real), featuresOf(generated)];
      const options = { neighbours: k };
      const there = await neighbourhoodMetrics(device, x, y, options);
      const back = await neighbourhoodMetrics(device, y, x, options);
      assert.equal(there.precision, back.recall);
      assert.equal(there.recall, back.precision);
      const same = await neighbourhoodMetrics(device, x, x, options);
      assert.deepEqual([same.precision, same.recall, same.coverage], [1, 1, 1]);
      assert.ok(same.density >= 1);
      const far = featuresOf(generated.map((row) => row.map((value) => value + 1e4)));
      const apart = await neighbourhoodMetrics(device, x, far, options);
      assert.deepEqual(apart, { precision: 0, recall: 0, density: 0, coverage: 0 });
    }),
    { numRuns: 30, seed: 20240708 },
  );
});

testOnEach(devices.slice(0, 1), "what cannot be compared is refused", async (device) => {
  const set = (...rows: Rows): Features => featuresOf(rows);
  const four = set([0], [1], [2], [3]), three = set([0], [1], [2]);
  const measure = (real: Features, generated: Features, neighbours?: number) =>
    neighbourhoodMetrics(device, real, generated, { neighbours });
  await assert.rejects(measure(three, four), {
    name: "RangeError",
    message:
      "Cannot measure precision and recall: with k = 3 there must be at least 4 real features, got 3",
  });
  await assert.rejects(measure(four, three), /at least 4 generated features, got 3$/);
  await assert.rejects(measure(four, { values: new Float32Array(0), count: 0 }), /got 0$/);
  await assert.rejects(measure(four, four, 0), /k must be an integer of at least 1, got 0$/);
  await assert.rejects(measure(four, four, 1.5), RangeError);
  await assert.rejects(measure(four, set([0, 0], [1, 1], [2, 2], [3, 3])), {
    name: "TypeError",
    message: /every feature must have 1 numbers, got 8 numbers of 4 features$/,
  });
  await assert.rejects(measure(four, set([0], [NaN], [2], [3])), /must be finite, got NaN$/);
});
