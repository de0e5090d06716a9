/** Embeddings of indices and of times. */
import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Embedding, sinusoidal } from "../../nn/embedding.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

testOnEach(
  devices,
  "an embedding looks up rows, and a row's gradient sums over its uses",
  async (device) => {
    const layer = new Embedding(device, 4, 2, { key: randomKey(1, "embedding") });
    const indices = device.tensor(Int32Array.of(3, 0, 3, 1), [2, 2]);
    const y = layer.forward(indices);
    assert.deepEqual(y.shape, [2, 2, 2]);
    const table = await layer.weight.floats();
    const rows = [3, 0, 3, 1].flatMap((row) => [...table.slice(2 * row, 2 * row + 2)]);
    assert.deepEqual([...await y.floats()], rows);
    const [gradient] = backward(sum(y), layer.parameters());
    assert.deepEqual([...await gradient.floats()], [1, 1, 1, 1, 0, 0, 2, 2]);
  },
);

testOnEach(devices, "an embedding is initialised with normal numbers", async (device) => {
  for (const deviation of [1, 0.02]) {
    const layer = new Embedding(device, 500, 20, { key: randomKey(2, "embedding"), deviation });
    const values = await layer.weight.floats();
    const square = values.reduce((total, value) => total + value ** 2, 0) / values.length;
    assert.ok(Math.abs(Math.sqrt(square) / deviation - 1) < 0.03);
  }
});

testOnEach(devices, "time embeddings match the diffusion paper's code", async (device) => {
  // h = 3 frequencies: 1, 1/100 and 1/10000
  const expected = [0, 250.5].flatMap((time) => [
    ...[1, 100, 10_000].map((length) => Math.sin(time / length)),
    ...[1, 100, 10_000].map((length) => Math.cos(time / length)),
    0,
  ]);
  const got = sinusoidal(device, [0, 250.5], 7);
  assert.deepEqual(got.shape, [2, 7]);
  assertClose(await got.floats(), expected, EQUATIONS, "odd width");
  assertClose(
    await sinusoidal(device, [2], 2).floats(),
    [Math.sin(2), Math.cos(2)],
    EQUATIONS,
    "2",
  );
});
