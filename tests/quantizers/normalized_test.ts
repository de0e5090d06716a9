/** Normalised features against their equations. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import {
  BatchNormalization,
  DeviationScaling,
  type FeatureNormalization,
} from "../../quantizers/feature_normalization.ts";
import { NormalizedQuantizer } from "../../quantizers/normalized.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { mean, nearest, rowsOf } from "./plain.ts";
import { dot, slopes, type Values } from "./slopes.ts";

const devices = await openTestDevices();

const key = randomKey(8, "normalized");
const [N, D] = [12, 3];
const EPSILON = 1e-5;

/** Mean and variance of every channel. */
function statistics(z: Values): { means: number[]; variances: number[] } {
  const rows = rowsOf(z, D);
  const means = rows[0].map((_, d) => mean(rows.map((row) => row[d])));
  const variances = means.map((m, d) => mean(rows.map((row) => (row[d] - m) ** 2)));
  return { means, variances };
}

function normalized(z: Values, { means, variances }: ReturnType<typeof statistics>): number[] {
  return Array.from(z, (x, i) => (x - means[i % D]) / Math.sqrt(variances[i % D] + EPSILON));
}

testOnEach(
  devices,
  "batch: every channel has mean 0 and variance 1, and the right gradient",
  async (device) => {
    const normalization = new BatchNormalization(device, D);
    const z = draw([N, D], "features", -1, 5), up = draw([N, D], "upstream");
    const features = parameter(device.tensor(z, [N, D]));
    const result = normalization.normalize(features, true);
    assertClose(await result.floats(), normalized(z, statistics(z)), CANCELLING, "normalised");
    const [gradient] = backward(sum(mul(result, device.tensor(up, [N, D]))), [features]);
    const expected = slopes((x) => dot(normalized(x, statistics(x)), up), z);
    assertClose(await gradient.floats(), expected, CANCELLING, "gradient");
  },
);

testOnEach(devices, "deviation: one divisor, without gradient", async (device) => {
  const normalization = new DeviationScaling(device, D);
  const z = draw([N, D], "features", -1, 5), up = draw([N, D], "upstream");
  const features = parameter(device.tensor(z, [N, D]));
  normalization.observe(features);
  const divisor = Math.sqrt(mean(statistics(z).variances) + EPSILON);
  const result = normalization.normalize(features);
  assertClose(await result.floats(), z.map((x) => x / divisor), EQUATIONS, "scaled");
  const [gradient] = backward(sum(mul(result, device.tensor(up, [N, D]))), [features]);
  assertClose(await gradient.floats(), up.map((x) => x / divisor), EQUATIONS, "gradient");
});

testOnEach(
  devices,
  "running statistics are the mean of the first ten batches, then an average over about ten",
  async (device) => {
    const normalization = new BatchNormalization(device, D);
    const batches = Array.from({ length: 12 }, (_, step) => draw([N, D], `batch ${step}`, step, 2));
    const seen = batches.map(statistics);
    for (const z of batches.slice(0, 10)) normalization.observe(device.tensor(z, [N, D]));
    let means = seen[0].means.map((_, d) => mean(seen.slice(0, 10).map(({ means }) => means[d])));
    assertClose(await normalization.mean.floats(), means, EQUATIONS, "after ten");
    for (const [step, z] of batches.entries()) {
      if (step < 10) continue;
      normalization.observe(device.tensor(z, [N, D]));
      means = means.map((m, d) => 0.9 * m + 0.1 * seen[step].means[d]);
    }
    assertClose(await normalization.mean.floats(), means, EQUATIONS, "after twelve");
    const variances = [...await normalization.variance.floats()];
    const z = draw([4, D], "test");
    const result = normalization.normalize(device.tensor(z, [4, D]), false);
    assertClose(await result.floats(), normalized(z, { means, variances }), CANCELLING, "test");
  },
);

for (const Normalization of [BatchNormalization, DeviationScaling]) {
  testOnEach(devices, `${Normalization.name}: padding is ignored`, async (device) => {
    const z = draw([N, D], "features", -1, 5);
    const padded = Float32Array.of(...z, ...draw([N, D], "padding", 50, 60));
    const mask = device.tensor(Int32Array.from({ length: 2 * N }, (_, n) => Number(n < N)), [
      2 * N,
    ]);
    const results = await Promise.all([undefined, mask].map(async (mask) => {
      const normalization: FeatureNormalization = new Normalization(device, D);
      const inner = new VanillaQuantizer(device, { codebookSize: 5, codebookDim: D, key });
      const quantizer = new NormalizedQuantizer(inner, normalization);
      const features = mask === undefined
        ? device.tensor(z, [N, D])
        : device.tensor(padded, [2 * N, D]);
      quantizer.begin(features, { training: true, key, mask });
      const { indices, losses } = quantizer.quantize(features, { training: true, key, mask });
      return {
        indices: [...await indices.integers()].slice(0, N),
        numbers: [
          ...await normalization.mean.floats(),
          ...await normalization.variance.floats(),
          await losses.codebook.item(),
        ],
      };
    }));
    assert.deepEqual(results[1].indices, results[0].indices);
    assertClose(results[1].numbers, results[0].numbers, EQUATIONS, "statistics and loss");
  });
}

testOnEach(devices, "one feature and equal features stay finite", async (device) => {
  for (const normalization of ["batch", "deviation"]) {
    const settings = { type: "clustered-ema", codebookSize: 3, codebookDim: D, normalization };
    const quantizer = createQuantizer(device, settings, key);
    for (const rows of [1, 4]) {
      const features = parameter(device.tensor(new Float32Array(rows * D).fill(3), [rows, D]));
      const context = { training: true, key };
      quantizer.begin(features, context);
      const result = quantizer.quantize(features, context);
      const [gradient] = backward(sum(result.quantized), [features]);
      assert.ok((await gradient.floats()).every(Number.isFinite));
      quantizer.update({ features, ...result }, context);
      for (const [entry, { values }] of await quantizer.stateDictionary()) {
        assert.ok(values.every((value) => Number.isFinite(value)), entry);
      }
    }
  }
});

testOnEach(devices, "features are compared with codes in the codes' space", async (device) => {
  const settings = {
    ...{ type: "vanilla", codebookSize: 7, codebookDim: D, lookupDim: 2 },
    ...{ normalization: "batch", unitLength: true, initialization: "kmeans" },
  };
  const quantizer = createQuantizer(device, settings, key);
  const features = device.tensor(draw([N, D], "features", 20, 5), [N, D]);
  for (const training of [true, false]) {
    const context = { training, key };
    if (training) quantizer.begin(features, context);
    const { indices } = quantizer.quantize(features, context);
    const compared = rowsOf(await quantizer.compared(features, context).floats(), 2);
    const codes = rowsOf(await quantizer.codes()!.floats(), 2);
    assert.deepEqual(nearest(compared, codes, "l2"), [...await indices.integers()]);
  }
});
