/** Distances between sets of features, against NumPy's and SciPy's numbers, made by tests/fixtures/metrics/frechet.py. */
import assert from "node:assert/strict";
import { FeatureStatistics } from "../../metrics/feature_statistics.ts";
import { frechetDistance } from "../../metrics/frechet.ts";
import { inceptionScore } from "../../metrics/inception_score.ts";
import {
  type Features,
  kernelDistance,
  meanKernelDistance,
} from "../../metrics/kernel_distance.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { readExpected, uniform } from "./formula.ts";

const { cases, score } = await readExpected<{
  cases: readonly {
    readonly about: string;
    readonly first: number;
    readonly second: number;
    readonly dimensions: number;
    readonly distance: number;
    readonly kernel: number;
  }[];
  score: { readonly count: number; readonly classes: number; splits: number; value: number };
}>("frechet");

/** Correlated features: uniform numbers through a fixed mixing. */
function features(count: number, dimensions: number, seed: number, offset: number): Features {
  const raw = uniform(count * dimensions, seed), mixing = uniform(dimensions * dimensions, 1);
  const values = new Float32Array(count * dimensions);
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < dimensions; column++) {
      let sum = offset;
      for (let k = 0; k < dimensions; k++) {
        sum += raw[row * dimensions + k] * mixing[k * dimensions + column] / Math.sqrt(dimensions);
      }
      values[row * dimensions + column] = sum;
    }
  }
  return { values, count };
}

/** The statistics of features that come in parts. */
function statisticsOf({ values, count }: Features): FeatureStatistics {
  const dimensions = values.length / count, statistics = new FeatureStatistics(dimensions);
  for (let start = 0; start < count; start += 7) {
    statistics.add(values.subarray(start * dimensions, Math.min(count, start + 7) * dimensions));
  }
  return statistics;
}

const devices = await openTestDevices();

for (const { about, first, second, dimensions, distance, kernel } of cases) {
  const a = features(first, dimensions, 11, 0), b = features(second, dimensions, 12, 0.05);
  Deno.test(`the Fréchet distance agrees with SciPy: ${about}`, () => {
    const [x, y] = [a, b].map((set) => statisticsOf(set).gaussian());
    for (const found of [frechetDistance(x, y), frechetDistance(y, x)]) {
      assert.ok(Math.abs(found - distance) <= 1e-5 * distance, `${found} instead of ${distance}`);
    }
    assert.ok(frechetDistance(x, x) <= 1e-6, "to itself");
  });
  testOnEach(devices, `the kernel distance agrees with NumPy: ${about}`, async (device) => {
    const found = await kernelDistance(device, a, b);
    assert.ok(Math.abs(found - kernel) <= 1e-4 * Math.max(0.1, Math.abs(kernel)), `${found}`);
  });
}

Deno.test("statistics keep their precision when the mean is large", () => {
  const statistics = new FeatureStatistics(2);
  const values = Float32Array.of(1e6, -1e6, 1e6 + 1, -1e6, 1e6 + 2, -1e6);
  statistics.add(values.subarray(0, 2));
  statistics.add(values.subarray(2));
  const { mean, covariance } = statistics.gaussian();
  assert.deepEqual([...mean], [1e6 + 1, -1e6]);
  assert.deepEqual([...covariance], [1, 0, 0, 0]);
  assert.throws(() => statistics.add(values.subarray(1, 2)), TypeError);
  assert.throws(
    () => new FeatureStatistics(2).gaussian(),
    /at least 2 features are needed, got 0$/,
  );
});

Deno.test("the distance of two single-point distributions is that of the points", () => {
  const at = (x: number) => ({ mean: Float64Array.of(x, 0), covariance: new Float64Array(4) });
  assert.equal(frechetDistance(at(0), at(3)), 9);
  const other = { mean: new Float64Array(3), covariance: new Float64Array(9) };
  assert.throws(() => frechetDistance(at(0), other), /both must have 2 dimensions, got 3/);
});

testOnEach(
  devices.slice(0, 1),
  "KID is the mean over subsets, the same in every run",
  async (device) => {
    const a = features(40, 6, 11, 0), b = features(30, 6, 12, 0);
    const [whole, again] = [
      await meanKernelDistance(device, a, b, { subsets: 3, size: 20 }),
      await meanKernelDistance(device, a, b, { subsets: 3, size: 20 }),
    ];
    assert.equal(whole, again);
    const all = await meanKernelDistance(device, b, b, { subsets: 2 });
    assert.ok(all <= 1e-6, "a set to itself");
    await assert.rejects(() => kernelDistance(device, a, { ...b, count: 1 }), RangeError);
  },
);

Deno.test("the Inception Score agrees with SciPy", () => {
  const { values } = features(score.count, score.classes, 13, 0);
  const found = inceptionScore(values.map((value) => 4 * value), score.classes, score.splits);
  assert.ok(Math.abs(found - score.value) <= 1e-6, `${found} instead of ${score.value}`);
  assert.throws(
    () => inceptionScore(values, score.classes, 26),
    /at least 26 images of 12 classes, got 25$/,
  );
});
