/** The normalisation layers. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { ones, zeros } from "../../core/functions/creation.ts";
import { mul, silu } from "../../core/functions/elementwise.ts";
import { groupNormalize, layerNormalize } from "../../core/functions/normalization.ts";
import { sum } from "../../core/functions/reductions.ts";
import type { Tensor } from "../../core/tensor.ts";
import { GroupNorm, LayerNorm, RMSNorm } from "../../nn/normalization.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

testOnEach(
  devices,
  "normalisation layers scale and shift the normalised values",
  async (device) => {
    const shape = [2, 3, 5, 6], scale = draw([6], "scale"), shift = draw([6], "shift");
    const x = device.tensor(draw(shape, "x"), shape);
    const cases = [
      { layer: new LayerNorm(device, 6, 1e-3), normalized: layerNormalize(x, 1e-3) },
      { layer: new GroupNorm(device, 3, 6), normalized: groupNormalize(x, 3) },
    ];
    for (const { layer, normalized } of cases) {
      assert.deepEqual([...layer.namedParameters().keys()], ["weight", "bias"]);
      assert.deepEqual(await layer.forward(x).floats(), await normalized.floats(), "at the start");
      layer.weight.write(scale);
      layer.bias.write(shift);
      const y = layer.forward(x);
      assert.deepEqual(y.shape, shape);
      const expected = (await normalized.floats()).map((value, i) =>
        value * scale[i % 6] + shift[i % 6]
      );
      assertClose(await y.floats(), expected, EQUATIONS, "scaled and shifted");
    }
  },
);

testOnEach(devices, "normalisation layers check their channels", (device) => {
  const refused = {
    name: "TypeError",
    message: "Cannot normalise: the last axis must be 4, got shape [2, 1]",
  };
  assert.throws(() => new LayerNorm(device, 4).forward(zeros(device, [2, 1])), refused);
  assert.throws(() => new GroupNorm(device, 2, 4).forward(zeros(device, [2, 1])), refused);
  assert.throws(() => new LayerNorm(device, 1).forward(ones(device, [2, 4])), TypeError);
  assert.throws(() => new GroupNorm(device, 3, 4), {
    name: "RangeError",
    message: "Cannot make a group norm: the groups must divide the 4 channels, got 3",
  });
});

testOnEach(devices, "a group norm applies SiLU in the same pass", async (device) => {
  const shape = [2, 5, 6], x = device.tensor(draw(shape, "x"), shape);
  const [fused, plain] = [true, false].map((isFused) => {
    const layer = new GroupNorm(device, 3, 6, 1e-6, isFused);
    layer.weight.write(draw([6], "scale"));
    layer.bias.write(draw([6], "shift"));
    return layer;
  });
  const run = (layer: GroupNorm, forward: (x: Tensor) => Tensor) => {
    const input = parameter(x.view());
    const y = forward(input), loss = sum(mul(y, device.tensor(draw(shape, "weights"), shape)));
    const gradients = backward(loss, [input, layer.weight, layer.bias]);
    return Promise.all([y, ...gradients].map((tensor) => tensor.floats()));
  };
  const got = await run(fused, (input) => fused.forward(input));
  const expected = await run(plain, (input) => silu(plain.forward(input)));
  got.forEach((values, at) => assertClose(values, expected[at], EQUATIONS, `result ${at}`));
});

testOnEach(devices, "an RMS norm divides by the root of the mean square", async (device) => {
  const layer = new RMSNorm(device, 3, 0.5);
  assert.deepEqual([...layer.namedParameters().keys()], ["weight"]);
  layer.weight.write(Float32Array.of(1, 2, -1));
  const y = await layer.forward(device.tensor([1, 2, 3, 0, 0, 0], [2, 3])).floats();
  const root = Math.sqrt(14 / 3 + 0.5);
  assertClose(y, [1 / root, 4 / root, -3 / root, 0, 0, 0], EQUATIONS, "scaled");
});
