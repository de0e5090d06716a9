/** The normalisation layers. */
import assert from "node:assert/strict";
import { ones, zeros } from "../../core/functions/creation.ts";
import { groupNormalize, layerNormalize } from "../../core/functions/normalization.ts";
import { GroupNorm, LayerNorm } from "../../nn/normalization.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

testOnEach(devices, "normalisation layers scale and shift what was normalised", async (device) => {
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
});

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
