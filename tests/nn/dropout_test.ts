/** Dropout. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { ones } from "../../core/functions/creation.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Dropout } from "../../nn/dropout.ts";
import { Sequential } from "../../nn/module.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();
const [reference] = devices;
const context = (step: number) => ({ training: true, key: randomKey(1, "dropout", step) });

testOnEach(
  devices,
  "dropout zeroes its share of the elements, keeps the mean, and depends on its key",
  async (device) => {
    const layer = new Dropout(0.25), x = parameter(ones(device, [100, 100]));
    const y = layer.forward(x, context(1));
    const values = await y.floats(), kept = Math.fround(1 / 0.75);
    assert.ok(values.every((value) => value === 0 || Math.abs(value - kept) < 1e-6));
    const share = values.filter((value) => value === 0).length / values.length;
    assert.ok(Math.abs(share - 0.25) < 0.02, `${share} dropped`); // 4.6 standard deviations
    const [gradient] = backward(sum(y), [x]);
    assert.deepEqual(await gradient.floats(), values, "gradients pass where values did");
    assert.deepEqual(await layer.forward(x, context(1)).floats(), values, "the same key");
    assert.notDeepEqual(await layer.forward(x, context(2)).floats(), values, "another key");
    const elsewhere = await layer.forward(ones(reference, [100, 100]), context(1)).floats();
    assert.deepEqual(values.map(Math.sign), elsewhere.map(Math.sign), "the same on every device");
  },
);

testOnEach(devices, "dropout does nothing in evaluation", async (device) => {
  const x = ones(device, [50]);
  for (const told of [undefined, { ...context(1), training: false }]) {
    assert.deepEqual(await new Dropout(0.9).forward(x, told).floats(), await x.floats());
  }
  assert.deepEqual(await new Dropout(0).forward(x, context(1)).floats(), await x.floats());
});

testOnEach(devices, "each dropout layer in a sequence drops different elements", async (device) => {
  const x = ones(device, [1000]);
  const once = await new Sequential([new Dropout(0.5)]).forward(x, context(1)).floats();
  const twice = await new Sequential([new Dropout(0.5), new Dropout(0.5)]).forward(x, context(1))
    .floats();
  const [first, both] = [once, twice].map((values) => values.filter((y) => y !== 0).length);
  assert.ok(both < 0.6 * first && both > 0.4 * first, `${first} and then ${both} kept`);
});

Deno.test("a dropout checks its rate", () => {
  for (const rate of [1, -0.1, NaN]) {
    assert.throws(() => new Dropout(rate), {
      name: "RangeError",
      message: `Cannot make a dropout: the rate must be in [0, 1), got ${rate}`,
    });
  }
});
