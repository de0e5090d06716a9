/** What holds of every method in the registry when features are not finite, or when there is nothing to quantise. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { backward, parameter } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { DistinctAnchors, makeAnchors } from "../../quantizers/anchors.ts";
import { BatchNormalization } from "../../quantizers/feature_normalization.ts";
import { kMeans } from "../../quantizers/kmeans.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { randomRows } from "../../quantizers/replacement.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";
import { contextOf, featuresOf, FEATUREWISE, judge } from "./variants.ts";

const devices = await openTestDevices();

const key = randomKey(5, "unusable");
const BATCH: Shape = [3, 4];
/** How many batches are drawn: most on the fastest device for so few features. */
const RUNS: Readonly<Record<string, number>> = { reference: 20, cpu: 8, webgpu: 3 };

/** One value of a feature that makes it unusable, and where. */
const fault = fc.record({
  position: fc.nat(11),
  channel: fc.nat(99),
  value: fc.constantFrom(NaN, Infinity, -Infinity, 3e38, -1e20),
});
const batch = fc.record({
  faults: fc.array(fault, { minLength: 1, maxLength: 5 }),
  everywhere: fc.boolean(),
  masked: fc.constantFrom<readonly number[] | undefined>(undefined, [0, 5, 6]),
});

/** Features of which some are not finite, and the positions of those. */
function damaged(quantizer: Quantizer, purpose: string, { faults, everywhere }: {
  readonly faults: readonly { position: number; channel: number; value: number }[];
  readonly everywhere: boolean;
}): { values: Float32Array<ArrayBuffer>; bad: ReadonlySet<number> } {
  const { codebookDim: D } = quantizer;
  const values = draw([...BATCH, D], purpose, -1, 2);
  const all = everywhere
    ? Array.from({ length: 12 }, (_, position) => ({ ...faults[0], position }))
    : faults;
  for (const { position, channel, value } of all) values[position * D + channel % D] = value;
  return { values, bad: new Set(all.map(({ position }) => position)) };
}

async function assertFinite(quantizer: Quantizer): Promise<void> {
  for (const [entry, { values }] of await quantizer.stateDictionary()) {
    assert.ok(values.every((value) => Number.isFinite(value)), `${entry}: ${values}`);
  }
}

/** Begins, quantises and learns; no gradient moves anything. */
function step(quantizer: Quantizer, features: Tensor, mask: Tensor | undefined, at: number) {
  const context = contextOf(at, true, mask);
  quantizer.begin(features, context);
  const result = quantizer.quantize(features, context);
  quantizer.update({ features, ...result }, context);
  return result;
}

for (const { name, make } of FEATUREWISE) {
  testOnEach(devices, `${name}: a non-finite feature does no harm`, async (device) => {
    const property = fc.asyncProperty(batch, fc.nat(2), async (given, at) => {
      using _scope = device.scope();
      const quantizer = make(device);
      const { codebookDim: D } = quantizer;
      const present = Int32Array.from(
        { length: 12 },
        (_, position) => given.masked?.includes(position) ? 0 : 1,
      );
      const mask = given.masked && device.tensor(present, BATCH);
      for (let before = 0; before < at; before++) {
        const features = featuresOf(quantizer, BATCH, `batch ${before}`, device);
        step(quantizer, features, mask, before);
      }
      const { values, bad } = damaged(quantizer, "damaged", given);
      const features = parameter(device.tensor(values, [...BATCH, D]));
      const { indices, usage, nonFinite, quantized, losses } = step(quantizer, features, mask, at);
      await assertFinite(quantizer);

      const counted = [...bad].filter((position) => present[position] === 1);
      assert.equal(await nonFinite?.item(), counted.length, "counted");
      const chosen = [...await indices.integers()], each = chosen.length / 12;
      const codes = chosen.filter((index) => index >= 0).length;
      const usable = present.filter((one, position) => one === 1 && !bad.has(position)).length;
      assert.equal(codes, usable * each, `${chosen}`);
      assert.equal((await usage.integers()).reduce((sum, count) => sum + count, 0), codes, "usage");
      rowsOf(await quantized.floats(), D).forEach((row, position) => {
        const lost = present[position] === 1 && bad.has(position);
        assert.ok(row.every((x) => lost ? Number.isNaN(x) : Number.isFinite(x)), `${row}`);
      });
      const loss = await judge({ quantized, losses } as ReturnType<Quantizer["quantize"]>).item();
      assert.equal(Number.isNaN(loss), counted.length > 0, `the loss is ${loss}`);

      // Nothing of it is left: the next batch is quantised and learned from as ever.
      const next = featuresOf(quantizer, BATCH, "next", device);
      const after = step(quantizer, next, undefined, at + 1);
      assert.ok((await after.indices.integers()).every((index) => index >= 0));
      assert.ok((await after.quantized.floats()).every(Number.isFinite));
      for (const [loss, value] of Object.entries(after.losses)) {
        assert.ok(Number.isFinite(await value.item()), loss);
      }
      await assertFinite(quantizer);
    });
    await fc.assert(property, { seed: 11, numRuns: RUNS[device.name] });
  });

  testOnEach(devices, `${name}: with no usable features the losses are 0`, async (device) => {
    const quantizer = make(device);
    const mask = device.tensor(new Int32Array(12), BATCH);
    for (const training of [true, false]) {
      for (const padding of [3, NaN]) {
        const shape = [...BATCH, quantizer.codebookDim];
        const values = draw(shape, "padding").fill(padding);
        const features = parameter(device.tensor(values, shape));
        const context = contextOf(1, training, mask);
        quantizer.begin(features, context);
        const before = await quantizer.stateDictionary();
        const result = quantizer.quantize(features, context);
        for (const [loss, value] of Object.entries(result.losses)) {
          assert.equal(await value.item(), 0, loss);
        }
        assert.ok((await result.quantized.floats()).every((x) => x === 0));
        assert.equal(await result.nonFinite?.item(), 0);
        const parameters = [features, ...quantizer.parameters()];
        for (const gradient of backward(judge(result), parameters)) {
          assert.ok((await gradient.floats()).every(Number.isFinite), "gradient");
        }
        if (training) quantizer.update({ features, ...result }, context);
        // Counters of steps go on; what is learned from features stays.
        for (const [entry, { values }] of await quantizer.stateDictionary()) {
          if (values instanceof Float32Array) {
            assert.deepEqual(values, before.get(entry)?.values, entry);
          }
        }
      }
    }
  });
}

/** Rows of which the second is not finite. */
const someRows = (device: Device) => device.tensor([1, 2, NaN, 4, 5, 6, 7, 8], [4, 2]);

testOnEach(
  devices,
  "a non-finite row is never drawn, clustered or used as an anchor",
  async (device) => {
    const rows = someRows(device);
    const sound = new Set([[1, 2], [5, 6], [7, 8]].map(String));
    const assertSound = async (found: Tensor) => {
      for (const row of rowsOf(await found.floats(), 2)) {
        assert.ok(
          sound.has(String(row)),
          `${row}`,
        );
      }
    };
    const codebook = device.tensor(draw([9, 2], "codebook"), [9, 2]);
    const mask = device.tensor(Int32Array.of(1, 1, 1, 1), [4]);
    const settings = { distance: "l2", codebookSize: 9, codebookDim: 2 };
    for (const given of [undefined, mask]) {
      await assertSound(randomRows(rows, 9, key, given));
      await assertSound(new DistinctAnchors().sample(rows, codebook, key, given));
      for (const sampling of ["closest", "probrandom", "error"] as const) {
        const anchors = makeAnchors(device, sampling, settings as never, key);
        await assertSound(anchors.sample(rows, codebook, key, given));
      }
      for (const spread of [false, true]) {
        const options = { count: 3, distance: "l2", key, mask: given, spread } as const;
        const means = await kMeans(rows, options).floats();
        assert.ok(means.every((x) => x >= 1 - 0.1 && x <= 8 + 0.1), `${means}`);
      }
    }
    const pooled = makeAnchors(device, "random", { ...settings, codebookSize: 3 } as never, key);
    await assertSound(pooled.sample(rows, device.tensor(draw([3, 2], "3"), [3, 2]), key));
  },
);

testOnEach(devices, "statistics use only finite features", async (device) => {
  const [whole, sound] = [new BatchNormalization(device, 2), new BatchNormalization(device, 2)];
  const finite = device.tensor([1, 2, 5, 6, 7, 8], [3, 2]);
  whole.observe(someRows(device));
  sound.observe(finite);
  for (const field of ["mean", "variance"] as const) {
    assertClose(await whole[field].floats(), await sound[field].floats(), EQUATIONS, field);
  }
  const [mixed, plain] = [whole.normalize(someRows(device), true), sound.normalize(finite, true)];
  const values = [...await mixed.floats()];
  assert.ok(values.slice(2, 4).every(Number.isNaN));
  values.splice(2, 2);
  assertClose(values, await plain.floats(), EQUATIONS, "normalised");
});

testOnEach(
  devices,
  "a batch with a non-finite feature updates the state like the batch without it",
  async (device) => {
    for (const type of ["ema", "clustered-ema", "near-codes"]) {
      const settings = { type, codebookSize: 6, codebookDim: 2, initialization: "uniform" };
      const states = await Promise.all([true, false].map(async (withFault) => {
        const quantizer = createQuantizer(device, settings, key);
        const values = [...draw([10, 2], "features")];
        if (withFault) values.splice(6, 0, NaN, 1);
        const features = device.tensor(values, [values.length / 2, 2]);
        step(quantizer, features, undefined, 0);
        return await quantizer.stateDictionary();
      }));
      for (const [entry, { values }] of states[1]) {
        assertClose(states[0].get(entry)!.values, values, EQUATIONS, `${type} ${entry}`);
      }
    }
  },
);

testOnEach(
  devices,
  "vq-wae with a k-means start and equal features stays finite",
  async (device) => {
    for (const value of [0, 3, -1e4]) {
      for (const N of [1, 7]) {
        const settings = {
          type: "vq-wae",
          codebookSize: 4,
          codebookDim: 3,
          initialization: "kmeans",
        };
        const quantizer = createQuantizer(device, settings, key);
        const features = parameter(device.tensor(new Float32Array(N * 3).fill(value), [N, 3]));
        for (let at = 0; at < 2; at++) {
          const result = step(quantizer, features, undefined, at);
          for (const gradient of backward(judge(result), [features, ...quantizer.parameters()])) {
            assert.ok((await gradient.floats()).every(Number.isFinite), `gradient at ${value}`);
          }
          for (const [loss, scalar] of Object.entries(result.losses)) {
            assert.ok(Number.isFinite(await scalar.item()), `${loss} of ${value}`);
          }
        }
        await assertFinite(quantizer);
      }
    }
  },
);
