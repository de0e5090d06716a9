/** What holds of every quantiser. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assign } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { permutation, type RandomKey, randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device } from "../../core/tensor.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();

const key = randomKey(5, "quantizer");
const context = { training: true, key };

interface Options {
  readonly codebookSize: number;
  readonly codebookDim: number;
  readonly distance: "l2" | "cos";
  readonly key: RandomKey;
}

/** The methods, all with a `codebook`. */
type WithCodebook = Quantizer & Pick<VanillaQuantizer, "codebook">;
const METHODS: Readonly<Record<string, (device: Device, options: Options) => WithCodebook>> = {
  vanilla: (device, options) => new VanillaQuantizer(device, options),
  closest: (device, options) => new ClusteredQuantizer(device, { ...options, contrastive: true }),
  random: (device, options) => new ClusteredQuantizer(device, { ...options, anchor: "random" }),
  probrandom: (device, options) =>
    new ClusteredQuantizer(device, { ...options, anchor: "probrandom" }),
};

const sizes = fc.record({
  batch: fc.oneof(
    fc.array(fc.constantFrom(1, 2, 3, 5), { minLength: 1, maxLength: 3 }),
    fc.constant([1]),
  ),
  codebookSize: fc.constantFrom(1, 2, 3, 7, 16, 33),
  codebookDim: fc.constantFrom(1, 2, 3, 5, 8),
  distance: fc.constantFrom("l2" as const, "cos" as const),
});

for (const [method, make] of Object.entries(METHODS)) {
  testOnEach(
    devices,
    `${method}: indices, codes and usage agree, for any shape`,
    async (device) => {
      const property = fc.asyncProperty(sizes, async ({ batch, ...options }) => {
        using _scope = device.scope();
        const { codebookSize: K, codebookDim: D } = options;
        const quantizer = make(device, { ...options, key });
        const shape = [...batch, D];
        const features = device.tensor(draw(shape, "features"), shape);
        const result = quantizer.quantize(features, context);
        quantizer.update({ features, ...result }, context);
        const again = quantizer.quantize(features, context);
        for (const { quantized, indices, usage, losses } of [result, again]) {
          assert.deepEqual([quantized.shape, indices.shape, usage.shape], [shape, batch, [K]]);
          const chosen = await indices.integers();
          assert.ok(chosen.every((index) => index >= 0 && index < K));
          const counts = new Int32Array(K);
          for (const index of chosen) counts[index]++;
          assert.deepEqual(await usage.integers(), counts);
          for (const loss of Object.values(losses)) {
            assert.deepEqual(loss.shape, []);
            assert.ok(await loss.item() >= -1e-6);
          }
        }
        const looked = quantizer.lookup(again.indices);
        assert.deepEqual(looked.shape, shape);
        assert.deepEqual(await looked.floats(), await again.quantized.floats(), "exactly");
      });
      await fc.assert(property, { seed: 7, numRuns: 10 });
    },
  );
}

testOnEach(
  devices,
  "a codebook in another order gives the same codes by other indices",
  async (device) => {
    const property = fc.asyncProperty(sizes, fc.nat(99), async ({ batch, ...options }, step) => {
      using _scope = device.scope();
      const { codebookSize: K, codebookDim: D } = options;
      // One dimension knows two cosines only, and ties go to the highest index.
      fc.pre(D > 1 || options.distance === "l2");
      const [quantizer, other] = [0, 1].map(() =>
        new VanillaQuantizer(device, { ...options, key })
      );
      const e = draw([K, D], "codebook"), order = permutation(randomKey(1, "order", step), K);
      assign(quantizer.codebook, device.tensor(e, [K, D]));
      const moved = Float32Array.from(
        { length: K * D },
        (_, i) => e[order[Math.floor(i / D)] * D + i % D],
      );
      assign(other.codebook, device.tensor(moved, [K, D]));
      const shape = [...batch, D], features = device.tensor(draw(shape, "features"), shape);
      const before = quantizer.quantize(features, context),
        after = other.quantize(features, context);
      assert.deepEqual(await after.quantized.floats(), await before.quantized.floats());
      const renamed = (await after.indices.integers()).map((index) => order[index]);
      assert.deepEqual(renamed, await before.indices.integers());
    });
    await fc.assert(property, { seed: 7, numRuns: 12 });
  },
);

for (const shape of [[1, 1], [3, 2], [2, 5, 2], [2, 3, 4, 2]] satisfies Shape[]) {
  testOnEach(devices, `features of shape [${shape}] are quantised`, async (device) => {
    for (const make of Object.values(METHODS)) {
      const width = shape.at(-1)!;
      const quantizer = make(device, { codebookSize: 40, codebookDim: width, distance: "l2", key });
      const features = device.tensor(draw(shape, "any"), shape);
      const result = quantizer.quantize(features, context);
      quantizer.update({ features, ...result }, context);
      assert.deepEqual(result.quantized.shape, shape);
      assert.deepEqual(result.indices.shape, shape.slice(0, -1));
      assert.ok((await quantizer.codebook.floats()).every(Number.isFinite));
    }
  });
}

testOnEach(devices, "one vector alone is quantised to a scalar index", async (device) => {
  const quantizer = new VanillaQuantizer(device, { codebookSize: 3, codebookDim: 2, key });
  const { indices, quantized, usage } = quantizer.quantize(device.tensor([1, 2], [2]), context);
  assert.deepEqual([indices.shape, quantized.shape], [[], [2]]);
  assert.equal((await usage.integers())[await indices.item()], 1);
});

for (const distance of ["l2", "cos"] as const) {
  testOnEach(
    devices,
    `${distance}: features that are NaN or infinite do not crash`,
    async (device) => {
      for (const [method, make] of Object.entries(METHODS)) {
        const quantizer = make(device, { codebookSize: 4, codebookDim: 2, distance, key });
        const values = [NaN, NaN, 1, NaN, Infinity, 0, -Infinity, Infinity, 0.5, -0.5, 0, 0];
        const features = device.tensor(values, [6, 2]);
        const result = quantizer.quantize(features, context);
        quantizer.update({ features, ...result }, context);
        const { indices } = quantizer.quantize(features, context);
        for (const chosen of [await result.indices.integers(), await indices.integers()]) {
          assert.ok(chosen.every((index) => index >= 0 && index < 4), `${method}: ${chosen}`);
        }
        assert.equal((await result.usage.integers()).reduce((sum, count) => sum + count, 0), 6);
      }
    },
  );

  testOnEach(
    devices,
    `${distance}: NaN features are no anchors of codes that have better ones`,
    async (device) => {
      const quantizer = METHODS.closest(device, { codebookSize: 3, codebookDim: 2, distance, key });
      const features = device.tensor([NaN, NaN, 1, 2, NaN, 0], [3, 2]);
      quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
      assert.ok((await quantizer.codebook.floats()).every(Number.isFinite));
    },
  );
}

testOnEach(devices, "equal codes tie for the highest index", async (device) => {
  for (const distance of ["l2", "cos"] as const) {
    const options = { codebookSize: 3, codebookDim: 2, distance, key };
    const quantizer = new VanillaQuantizer(device, options);
    assign(quantizer.codebook, device.tensor([-1, 0, 1, 2, 1, 2], [3, 2]));
    const { indices } = quantizer.quantize(device.tensor([1, 2, 2, 2], [2, 2]), context);
    assert.deepEqual([...await indices.integers()], [2, 2]);
  }
});

testOnEach(devices, "a codebook of zeros is looked up", async (device) => {
  for (const distance of ["l2", "cos"] as const) {
    const quantizer = new VanillaQuantizer(device, {
      codebookSize: 3,
      codebookDim: 2,
      distance,
      key,
    });
    assign(quantizer.codebook, zeros(device, [3, 2]));
    const { indices } = quantizer.quantize(zeros(device, [2, 2]), context);
    assert.deepEqual([...await indices.integers()], [2, 2]);
  }
});
