/** Codes and features out of the ordinary; every_method_test.ts has what holds of every method. */
import assert from "node:assert/strict";
import { assign } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { testOnEach } from "../each_device.ts";
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

testOnEach(devices, "a single vector is quantised to a scalar index", async (device) => {
  const quantizer = new VanillaQuantizer(device, { codebookSize: 3, codebookDim: 2, key });
  const { indices, quantized, usage } = quantizer.quantize(device.tensor([1, 2], [2]), context);
  assert.deepEqual([indices.shape, quantized.shape], [[], [2]]);
  assert.equal((await usage.integers())[await indices.item()], 1);
});

for (const distance of ["l2", "cos"] as const) {
  testOnEach(
    devices,
    `${distance}: NaN and infinite features get no code`,
    async (device) => {
      for (const [method, make] of Object.entries(METHODS)) {
        const quantizer = make(device, { codebookSize: 4, codebookDim: 2, distance, key });
        const values = [NaN, NaN, 1, NaN, Infinity, 0, -Infinity, Infinity, 0.5, -0.5, 0, 0];
        const features = device.tensor(values, [6, 2]);
        const result = quantizer.quantize(features, context);
        quantizer.update({ features, ...result }, context);
        const { indices } = quantizer.quantize(features, context);
        for (const chosen of [await result.indices.integers(), await indices.integers()]) {
          assert.deepEqual([...chosen.subarray(0, 4)], [-1, -1, -1, -1], method);
          const finite = chosen.subarray(4);
          assert.ok(finite.every((index) => index >= 0 && index < 4), `${method}: ${chosen}`);
        }
        assert.equal((await result.usage.integers()).reduce((sum, count) => sum + count, 0), 2);
      }
    },
  );

  testOnEach(
    devices,
    `${distance}: NaN features are not anchors if there are better ones`,
    async (device) => {
      const quantizer = METHODS.closest(device, { codebookSize: 3, codebookDim: 2, distance, key });
      const features = device.tensor([NaN, NaN, 1, 2, NaN, 0], [3, 2]);
      quantizer.update({ features, ...quantizer.quantize(features, context) }, context);
      assert.ok((await quantizer.codebook.floats()).every(Number.isFinite));
    },
  );
}

testOnEach(devices, "among equal codes the highest index wins", async (device) => {
  for (const distance of ["l2", "cos"] as const) {
    const options = { codebookSize: 3, codebookDim: 2, distance, key };
    const quantizer = new VanillaQuantizer(device, options);
    assign(quantizer.codebook, device.tensor([-1, 0, 1, 2, 1, 2], [3, 2]));
    const { indices } = quantizer.quantize(device.tensor([1, 2, 2, 2], [2, 2]), context);
    assert.deepEqual([...await indices.integers()], [2, 2]);
  }
});

testOnEach(devices, "a codebook of zeros can be looked up", async (device) => {
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
