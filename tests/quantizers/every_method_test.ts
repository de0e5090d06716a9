/** What holds of every method in the registry, as it is by default and with every piece that it takes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assign, backward, parameter } from "../../core/execute.ts";
import { permutation, randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device } from "../../core/tensor.ts";
import { Adam } from "../../nn/optimizers.ts";
import { CodebookQuantizer } from "../../quantizers/codebook.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { QUANTIZER_TYPES } from "../../quantizers/registry.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";
import { contextOf, featuresOf, FEATUREWISE, judge, VARIANTS } from "./variants.ts";

const devices = await openTestDevices();

/** Trains on batches of 40 features, as a training step does. */
function train(device: Device, quantizer: Quantizer, adam: Adam, steps: readonly number[]): void {
  for (const step of steps) {
    using _step = device.scope();
    const features = featuresOf(quantizer, [8, 5], `batch ${step}`, device);
    quantizer.begin(features, contextOf(step));
    const result = quantizer.quantize(features, contextOf(step));
    const [, ...gradients] = backward(judge(result), [features, ...quantizer.parameters()]);
    for (const { codes, share } of quantizer.update({ features, ...result }, contextOf(step))) {
      adam.forget(codes, share);
    }
    if (gradients.length > 0) adam.step(gradients, 1e-2);
  }
}

const sizes = fc.record({
  batch: fc.constantFrom<Shape>([1], [30], [2, 5], [1, 1], [2, 3, 4]),
  codebookSize: fc.constantFrom(1, 2, 7, 33),
  training: fc.boolean(),
});

for (const { name, make } of VARIANTS) {
  testOnEach(devices, `${name}: shapes, indices, usage and lookup agree`, async (device) => {
    const property = fc.asyncProperty(sizes, async ({ batch, codebookSize, training }) => {
      using _scope = device.scope();
      const quantizer = make(device, codebookSize);
      const { codebookSize: K, codebookDim: D } = quantizer;
      const features = featuresOf(quantizer, batch, "features", device);
      const context = contextOf(0, training);
      if (training) quantizer.begin(features, context);
      const result = quantizer.quantize(features, context);
      const { quantized, indices, usage, losses } = result;
      assert.deepEqual(quantized.shape, [...batch, ...quantizer.grid ?? [], D]);
      assert.deepEqual([indices.shape.slice(0, batch.length), indices.dtype], [batch, "int32"]);
      const chosen = await indices.integers();
      assert.ok(chosen.every((index) => index >= 0 && index < K), `${chosen} of ${K}`);
      const counts = await usage.integers();
      assert.equal(counts.length, K);
      assert.equal(counts.reduce((total, count) => total + count, 0), chosen.length);
      for (const [loss, value] of Object.entries(losses)) {
        assert.deepEqual(value.shape, [], loss);
        assert.ok(Number.isFinite(await value.item()), loss);
      }
      const looked = quantizer.lookup(indices);
      assert.deepEqual(looked.shape, quantized.shape);
      // What is drawn in training may be a mixture.
      if (!training || quantizer instanceof CodebookQuantizer) {
        assert.deepEqual(await looked.floats(), await quantized.floats());
      }
      const codes = quantizer.codes();
      if (codes !== undefined) {
        const compared = quantizer.compared(features, context);
        assert.deepEqual(compared.shape, [...indices.shape, codes.shape[1]], "one space");
      }
      if (training) quantizer.update({ features, ...result }, context);
    });
    await fc.assert(property, { seed: 7, numRuns: device.name === "webgpu" ? 3 : 6 });
  });

  testOnEach(
    devices,
    `${name}: training continues identically from a restored state`,
    async (device) => {
      const [straight, resumed] = [make(device, 6, 3), make(device, 6, 4)];
      const [adam, other] = [straight, resumed].map((q) => new Adam(q.namedParameters()));
      train(device, straight, adam, [0, 1]);
      const live = device.liveBytes;
      train(device, straight, adam, [2]);
      assert.equal(device.liveBytes, live, "bytes alive after a step");
      resumed.loadStateDictionary(await straight.stateDictionary());
      other.loadStateDictionary(await adam.stateDictionary());
      train(device, straight, adam, [3, 4]);
      train(device, resumed, other, [3, 4]);
      const end = await straight.stateDictionary();
      assert.deepEqual(await resumed.stateDictionary(), end);
      for (const [entry, { values }] of end) {
        assert.ok(values.every((value) => Number.isFinite(value)), entry);
      }
    },
  );

  testOnEach(devices, `${name}: quantising changes no state`, async (device) => {
    const quantizer = make(device);
    const features = featuresOf(quantizer, [7], "features", device);
    for (const training of [false, true]) {
      const context = contextOf(0, training);
      const before = await quantizer.stateDictionary();
      const first = quantizer.quantize(features, context);
      quantizer.compared(features, context);
      const again = quantizer.quantize(features, context);
      assert.deepEqual(await quantizer.stateDictionary(), before);
      assert.deepEqual(await again.indices.integers(), await first.indices.integers());
      assert.deepEqual(await again.quantized.floats(), await first.quantized.floats());
    }
  });
}

for (const { name, make } of FEATUREWISE) {
  testOnEach(devices, `${name}: values at masked positions change nothing`, async (device) => {
    const batch = [3, 4], present = [1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0];
    const results = [];
    for (const padding of [0, 1e3, NaN]) {
      const quantizer = make(device);
      const { codebookDim: D } = quantizer;
      const values = draw([...batch, D], "features", -1, 2)
        .map((value, i) => present[Math.floor(i / D)] ? value : padding);
      const features = parameter(device.tensor(values, [...batch, D]));
      const mask = padding === 0
        ? device.tensor(present, batch)
        : device.tensor(Int32Array.from(present), batch);
      const context = contextOf(0, true, mask);
      quantizer.begin(features, context);
      const result = quantizer.quantize(features, context);
      const parameters = [features, ...quantizer.parameters()];
      const gradients = backward(judge(result), parameters);
      quantizer.update({ features, ...result }, context);

      const indices = [...await result.indices.integers()];
      const each = indices.length / present.length;
      indices.forEach((index, i) =>
        assert.equal(index < 0, present[Math.floor(i / each)] === 0, `index ${i} is ${index}`)
      );
      const counts = await result.usage.integers();
      assert.equal(counts.reduce((total, count) => total + count), 7 * each);
      for (const tensor of [result.quantized, gradients[0]]) {
        rowsOf(await tensor.floats(), D).forEach((row, position) =>
          present[position] || assert.deepEqual(row.map(Math.abs), Array(D).fill(0))
        );
      }
      results.push({
        indices,
        quantized: await result.quantized.floats(),
        losses: await Promise.all(Object.values(result.losses).map((loss) => loss.item())),
        gradients: await Promise.all(gradients.map((gradient) => gradient.floats())),
        state: await quantizer.stateDictionary(),
      });
    }
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
  });
}

const CODEBOOKS = VARIANTS.filter(({ make }) => {
  using quantizer = make(devices[0]);
  return quantizer instanceof CodebookQuantizer;
});

for (const { name, make } of CODEBOOKS) {
  testOnEach(devices, `${name}: reordering the codes only permutes the indices`, async (device) => {
    const [K, D] = [6, 4], order = permutation(randomKey(1, "order"), K);
    const codes = draw([K, D], "codes", -1, 2);
    const moved = codes.map((_, i) => codes[order[Math.floor(i / D)] * D + i % D]);
    const results = await Promise.all([codes, moved].map(async (values) => {
      const quantizer = make(device) as CodebookQuantizer;
      assign(quantizer.codebook, device.tensor(values, [K, D]));
      const features = featuresOf(quantizer, [20], "features", device);
      const result = quantizer.quantize(features, contextOf(0, false));
      const [gradient] = backward(judge(result), [features]);
      return {
        indices: await result.indices.integers(),
        quantized: await result.quantized.floats(),
        gradient: await gradient.floats(),
        losses: await Promise.all(Object.values(result.losses).map((loss) => loss.item())),
      };
    }));
    const [before, after] = results;
    assert.deepEqual(after.indices.map((index) => order[index]), before.indices);
    assert.deepEqual(after.quantized, before.quantized);
    assert.deepEqual(after.gradient, before.gradient);
    assertClose(after.losses, before.losses, EQUATIONS, "losses");
  });

  testOnEach(
    devices,
    `${name}: a padded batch gives the same result as the batch without padding`,
    async (device) => {
      const results = await Promise.all([false, true].map(async (padded) => {
        const quantizer = make(device);
        const values = draw([20, quantizer.codebookDim], "features", -1, 2);
        const rows = padded ? [...values, ...values.map(() => 7)] : [...values];
        const shape = [padded ? 40 : 20, quantizer.codebookDim];
        const features = parameter(device.tensor(rows, shape));
        const present = Float32Array.from({ length: 40 }, (_, n) => n < 20 ? 1 : 0);
        const mask = padded ? device.tensor(present, [40]) : undefined;
        const result = quantizer.quantize(features, contextOf(0, false, mask));
        const { losses, usage } = result;
        const [gradient] = backward(judge(result), [features]);
        return {
          usage: await usage.integers(),
          losses: await Promise.all(Object.values(losses).map((loss) => loss.item())),
          gradient: (await gradient.floats()).subarray(0, values.length),
        };
      }));
      const [without, withPadding] = results;
      assert.deepEqual(withPadding.usage, without.usage);
      assertClose(withPadding.losses, without.losses, EQUATIONS, "losses");
      assertClose(withPadding.gradient, without.gradient, EQUATIONS, "gradient");
    },
  );

  testOnEach(devices, `${name}: more codes than features are allowed`, async (device) => {
    const quantizer = make(device, 50);
    for (const step of [0, 1, 2]) {
      using _step = device.scope();
      const features = featuresOf(quantizer, [3], `few ${step}`, device);
      quantizer.begin(features, contextOf(step));
      const result = quantizer.quantize(features, contextOf(step));
      quantizer.update({ features, ...result }, contextOf(step));
    }
    for (const [entry, { values }] of await quantizer.stateDictionary()) {
      assert.ok(values.every((value) => Number.isFinite(value)), entry);
    }
  });
}

// The transport of vq-wae is over N × K. The reference would take seconds, and so would the software GPU for more than one.
const MANY = CODEBOOKS.filter(({ name }) =>
  name !== "vq-wae" && QUANTIZER_TYPES.includes(name) || /vanilla/.test(name)
);
testOnEach(devices.slice(1), "65,536 codes leave no N × K matrix in memory", async (device) => {
  const [K, N] = [65536, 256];
  for (const { name, make } of device.name === "cpu" ? MANY : MANY.slice(0, 1)) {
    const quantizer = make(device, K);
    const held = () => device.liveBytes + device.pooledBytes;
    const before = held();
    {
      using _step = device.scope();
      const features = featuresOf(quantizer, [N], "few", device);
      quantizer.begin(features, contextOf());
      const result = quantizer.quantize(features, contextOf());
      backward(judge(result), [features]);
      quantizer.update({ features, ...result }, contextOf());
      await device.synchronize();
    }
    assert.ok(held() - before < N * K * 4 / 2, `${name} took ${held() - before} bytes`);
    quantizer.dispose();
  }
});
