/** The phases of a step: what begins with a batch, and that its parts can be quantised one by one. */
import assert from "node:assert/strict";
import { slice } from "../../core/functions/movement.ts";
import { randomKey } from "../../core/random.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { nearest, rowsOf } from "./plain.ts";
import { contextOf } from "./variants.ts";

const devices = await openTestDevices();

const key = randomKey(6, "begin");
const SIZES = { codebookSize: 5, codebookDim: 4, initialization: "kmeans" };

/** Configurations whose quantising of a batch depends on what they saw of it before; a feature on no other feature. */
const CONFIGS = [
  { type: "vanilla", ...SIZES },
  { type: "ema", ...SIZES, normalization: "deviation" },
  { type: "clustered", ...SIZES, normalization: "deviation", lookupDim: 3 },
  { type: "residual", depth: 3, shared: false, inner: { type: "ema", ...SIZES } },
  { type: "product", heads: 2, inner: { type: "residual", inner: { type: "vanilla", ...SIZES } } },
];

for (const config of CONFIGS) {
  const name = JSON.stringify(config);
  testOnEach(
    devices,
    `${name}: parts of a batch are quantised like the whole batch`,
    async (device) => {
      const quantizer = createQuantizer(device, config, key);
      const { codebookDim: D } = quantizer;
      const features = device.tensor(draw([12, D], "features", -1, 3), [12, D]);
      assert.equal(quantizer.awaitsBatch, true);
      quantizer.begin(features, contextOf());
      const begun = await quantizer.stateDictionary();
      const whole = [...await quantizer.quantize(features, contextOf()).indices.integers()];
      const parts: number[] = [];
      for (const start of [0, 4, 8]) {
        const part = slice(features, [start, 0], [4, D]);
        parts.push(...await quantizer.quantize(part, contextOf()).indices.integers());
      }
      assert.deepEqual(parts, whole);
      assert.deepEqual(await quantizer.stateDictionary(), begun);
      assert.equal(quantizer.awaitsBatch, "normalization" in config, "again only for statistics");
    },
  );

  testOnEach(devices, `${name}: evaluation does not initialise the quantiser`, async (device) => {
    const quantizer = createQuantizer(device, config, key);
    const { codebookDim: D } = quantizer;
    const before = await quantizer.stateDictionary();
    const features = device.tensor(draw([12, D], "features", -1, 3), [12, D]);
    quantizer.begin(features, contextOf(0, false));
    assert.deepEqual(await quantizer.stateDictionary(), before);
  });
}

const COMPOSITES = [
  { type: "product", heads: 3, shared: true },
  { type: "product", heads: 3, shared: false },
  { type: "residual", depth: 3, shared: true },
  { type: "residual", depth: 3, shared: false },
];

for (const composite of COMPOSITES) {
  const { type, shared } = composite;
  const name = `${shared ? "one codebook" : "separate codebooks"}, ${type}`;
  testOnEach(
    devices,
    `${name}: features are compared with codes in the codes' space`,
    async (device) => {
      const inner = { type: "vanilla", codebookSize: 6, codebookDim: 2 };
      const quantizer = createQuantizer(device, { ...composite, inner }, key);
      const { codebookDim: D, codeAxes: [count] } = quantizer;
      const features = device.tensor(draw([10, D], "features", -1, 3), [10, D]);
      for (const training of [true, false]) {
        const context = contextOf(0, training);
        const chosen = [...await quantizer.quantize(features, context).indices.integers()];
        const compared = quantizer.compared(features, context);
        assert.deepEqual(compared.shape, [10, count, 2]);
        const codes = rowsOf(await quantizer.codes()!.floats(), 2);
        const rows = rowsOf(await compared.floats(), 2);
        // Each row's code is the nearest of those of its own part.
        const found = rows.map((row, place) => {
          const first = shared ? 0 : place % count * 6;
          return first + nearest([row], codes.slice(first, first + 6), "l2")[0];
        });
        assert.deepEqual(found, chosen);
      }
    },
  );
}
