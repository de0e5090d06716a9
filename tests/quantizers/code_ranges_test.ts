/** Where the indices of each of a place's codes lie. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { draw } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const [device] = await openTestDevices();
const inner = { type: "vanilla", codebookSize: 8, codebookDim: 4 };
const product = { type: "product", heads: 2, inner };
const CASES: readonly (readonly [Readonly<Record<string, unknown>>, number, number[]])[] = [
  [inner, 8, [0]],
  [{ ...inner, lookupDim: 2, normalization: "batch" }, 8, [0]],
  [{ type: "fsq", levels: [3, 4] }, 12, [0]],
  [{ type: "residual", depth: 3, shared: true, inner }, 8, [0, 0, 0]],
  [{ type: "residual", depth: 3, shared: false, inner }, 8, [0, 8, 16]],
  [{ ...product, shared: false }, 8, [0, 8]],
];

for (const [settings, choices, starts] of CASES) {
  Deno.test(`the indices of ${JSON.stringify(settings)} are in their ranges`, async () => {
    using _scope = device.scope();
    const key = randomKey(3, "ranges");
    const quantizer = createQuantizer(device, settings as { type: string }, key);
    assert.deepEqual([quantizer.choices, quantizer.codeStarts], [choices, starts]);
    const { codebookDim } = quantizer;
    const features = device.tensor(draw([200, codebookDim], "ranges"), [200, codebookDim]);
    const { indices } = quantizer.quantize(features, { training: false, key });
    const values = await indices.integers();
    assert.equal(values.length, 200 * starts.length);
    values.forEach((index, at) => {
      const start = starts[at % starts.length];
      assert.ok(index >= start && index < start + choices, `${index} at ${at}`);
    });
  });
}
