/** The attention layer. */
import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { blockVisibility } from "../../core/functions/attention.ts";
import { zeros } from "../../core/functions/creation.ts";
import { slice } from "../../core/functions/movement.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Attention } from "../../nn/attention.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();
const key = randomKey(1, "attention");

testOnEach(
  devices,
  "an attention layer has four projections, and all get gradients",
  async (device) => {
    const layer = new Attention(device, 6, { heads: 3, key });
    const names = ["query", "key", "value", "output"].flatMap((part) =>
      ["weight", "bias"].map((name) => `${part}.${name}`)
    );
    assert.deepEqual([...layer.namedParameters().keys()], names);
    const x = device.tensor(draw([2, 5, 6], "x"), [2, 5, 6]);
    for (const gradient of backward(sum(layer.forward(x)), layer.parameters())) {
      assert.ok((await gradient.floats()).every(Number.isFinite));
    }
    const plain = new Attention(device, 6, { heads: 1, key, bias: false });
    assert.equal(plain.parameters().length, 4);
  },
);

testOnEach(
  devices,
  "a causal layer's output does not depend on later tokens",
  async (device) => {
    const shape = [1, 5, 4], values = draw(shape, "x");
    const start = async (layer: Attention, visible?: ReturnType<typeof zeros>) => {
      const outputs = [0, 7].map((later) => {
        const changed = values.map((value, at) => at < 12 ? value : value + later);
        const x = device.tensor(changed, shape);
        return slice(layer.forward(x, undefined, { visible }), [0, 0, 0], [1, 3, 4]).floats();
      });
      return await Promise.all(outputs);
    };
    const [before, after] = await start(new Attention(device, 4, { heads: 2, key, causal: true }));
    assertClose(after, before, EQUATIONS, "causal");
    const blocks = blockVisibility(device, [1, 2, 2]);
    const full = new Attention(device, 4, { heads: 2, key });
    const [inBlocks, changedBlocks] = await start(full, blocks);
    assertClose(changedBlocks, inBlocks, EQUATIONS, "blocks");
    const [one, other] = await start(full);
    assert.notDeepEqual(other, one, "it sees all");
  },
);

testOnEach(devices, "an attention layer can attend to a memory of another width", (device) => {
  const layer = new Attention(device, 4, { heads: 2, key, memoryWidth: 3 });
  const memory = zeros(device, [2, 7, 3]);
  assert.deepEqual(layer.forward(zeros(device, [2, 5, 4]), undefined, { memory }).shape, [2, 5, 4]);
});

testOnEach(devices, "an attention layer checks its heads and its input", (device) => {
  assert.throws(() => new Attention(device, 6, { heads: 4, key }), {
    name: "RangeError",
    message: "Cannot make an attention layer: the heads must divide the width 6, got 4",
  });
  const layer = new Attention(device, 6, { heads: 2, key });
  assert.throws(() => layer.forward(zeros(device, [5, 6])), {
    name: "TypeError",
    message: "Cannot attend: the input must be [B, S, 6], got shape [5, 6]",
  });
});
