/** The linear layer. */
import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Linear } from "../../nn/linear.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();
const key = randomKey(1, "linear");

testOnEach(devices, "a linear layer is x·W + b over the last axis", async (device) => {
  const layer = new Linear(device, 3, 5, { key });
  const x = draw([2, 4, 3], "x");
  const y = layer.forward(device.tensor(x, [2, 4, 3]));
  assert.deepEqual(y.shape, [2, 4, 5]);
  const weight = await layer.weight.floats(), bias = await layer.bias?.floats();
  assert.ok(bias);
  const expected = Array.from({ length: 40 }, (_, at) => {
    const row = Math.floor(at / 5), column = at % 5;
    return [0, 1, 2].reduce(
      (total, i) => total + x[row * 3 + i] * weight[i * 5 + column],
      bias[column],
    );
  });
  assertClose(await y.floats(), expected, EQUATIONS, "forward");

  const [byWeight, byBias] = backward(sum(y), layer.parameters());
  const columns = [0, 1, 2].map((i) =>
    x.reduce((total, v, at) => total + (at % 3 === i ? v : 0), 0)
  );
  const repeated = columns.flatMap((column) => Array(5).fill(column));
  assertClose(await byWeight.floats(), repeated, EQUATIONS, "gradient of the weight");
  assertClose(await byBias.floats(), Array(5).fill(8), EQUATIONS, "gradient of the bias");
});

testOnEach(devices, "a linear layer is initialised within ±1/√inputs", async (device) => {
  const layer = new Linear(device, 16, 500, { key });
  const state = await layer.stateDictionary();
  assert.deepEqual([...state.keys()], ["weight", "bias"]);
  for (const [name, { values }] of state) {
    const greatest = Math.max(...values.map(Math.abs));
    assert.ok(greatest <= 0.25 && greatest > 0.24, `${name} reaches ${greatest}`);
    const mean = Array.from(values).reduce((total, value) => total + value, 0) / values.length;
    assert.ok(
      Math.abs(mean) < 5 * 0.25 / Math.sqrt(3 * values.length),
      `the mean of ${name} is ${mean}`,
    );
  }
  assert.notDeepEqual(state.get("weight")?.values.slice(0, 500), state.get("bias")?.values);
  const again = new Linear(device, 16, 500, { key });
  assert.deepEqual(await again.weight.floats(), await layer.weight.floats());
});

testOnEach(devices, "a linear layer may go without a bias", async (device) => {
  const layer = new Linear(device, 2, 1, { key, bias: false });
  assert.deepEqual([...layer.namedParameters().keys()], ["weight"]);
  assert.deepEqual([...await layer.forward(zeros(device, [1, 2])).floats()], [0]);
  assert.throws(() => layer.forward(zeros(device, [1, 3])), TypeError);
  assert.throws(() => new Linear(device, 0, 1, { key }), RangeError);
});
