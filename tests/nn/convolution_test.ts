/** The convolution layers. */
import assert from "node:assert/strict";
import { zeros } from "../../core/functions/creation.ts";
import { pad } from "../../core/functions/movement.ts";
import { conv2d, convTranspose2d } from "../../core/functions/products.ts";
import { randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d, ConvTranspose2d } from "../../nn/convolution.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();
const key = randomKey(1, "convolution");

const images = (device: Device, shape: Shape): Tensor => device.tensor(draw(shape, "x"), shape);

testOnEach(devices, "a convolution layer passes on all of its options", async (device) => {
  const options = { stride: 2, padding: [1, 2], dilation: [2, 1], relu: true } as const;
  const layer = new Conv2d(device, 3, 4, { key, kernelSize: [3, 2], ...options });
  assert.deepEqual(layer.weight.shape, [3, 2, 3, 4]);
  const x = images(device, [2, 8, 9, 3]);
  const y = layer.forward(x);
  assert.deepEqual(y.shape, [2, 3, 6, 4]);
  const expected = conv2d(x, layer.weight, { ...options, bias: layer.bias });
  assert.deepEqual(await y.floats(), await expected.floats());
  assert.deepEqual(new Conv2d(device, 3, 4, { key, kernelSize: 3 }).forward(x).shape, [2, 6, 7, 4]);
});

testOnEach(devices, "a convolution can have different padding on its two sides", async (device) => {
  const x = images(device, [2, 6, 8, 3]);
  const options = { kernelSize: 3, stride: 2, paddingAfter: [1, 2], padding: [0, 1] } as const;
  const layer = new Conv2d(device, 3, 4, { key, ...options });
  const padded = pad(x, [0, 0, 1, 0], [0, 1, 2, 0]);
  const expected = conv2d(padded, layer.weight, { stride: 2, bias: layer.bias });
  const y = layer.forward(x);
  assert.deepEqual(y.shape, [2, 3, 5, 4]);
  assertClose(await y.floats(), await expected.floats(), EQUATIONS, "as padded beforehand");
});

testOnEach(
  devices,
  "a transposed convolution layer passes on all of its options",
  async (device) => {
    const options = {
      stride: 2,
      padding: 1,
      dilation: 1,
      outputPadding: [1, 0],
      relu: true,
    } as const;
    const layer = new ConvTranspose2d(device, 3, 5, { key, kernelSize: 3, ...options });
    assert.deepEqual(layer.weight.shape, [3, 3, 5, 3]);
    const x = images(device, [2, 4, 4, 3]);
    const y = layer.forward(x);
    assert.deepEqual(y.shape, [2, 8, 7, 5]);
    const expected = convTranspose2d(x, layer.weight, { ...options, bias: layer.bias });
    assert.deepEqual(await y.floats(), await expected.floats());
  },
);

testOnEach(
  devices,
  "convolution layers are initialised within PyTorch's bounds",
  async (device) => {
    // The fan-in is counted over the weight's input axis in PyTorch's layout: outputs, where transposed.
    const layers = [
      { layer: new Conv2d(device, 4, 64, { key, kernelSize: 2 }), bound: 1 / 4 },
      { layer: new ConvTranspose2d(device, 256, 4, { key, kernelSize: 2 }), bound: 1 / 4 },
    ];
    for (const { layer, bound } of layers) {
      assert.deepEqual([...layer.namedParameters().keys()], ["weight", "bias"]);
      const weight = Math.max(...(await layer.weight.floats()).map(Math.abs));
      assert.ok(weight <= bound && weight > bound * 0.98, `weights reach ${weight} of ${bound}`);
      const bias = await layer.bias?.floats();
      assert.ok(bias !== undefined && bias.every((value) => Math.abs(value) <= bound));
    }
  },
);

testOnEach(devices, "convolution layers can omit the bias, and check the channels", (device) => {
  const options = { key, kernelSize: 1, bias: false };
  const layers = [new Conv2d(device, 2, 3, options), new ConvTranspose2d(device, 2, 3, options)];
  for (const layer of layers) {
    assert.deepEqual([...layer.namedParameters().keys()], ["weight"]);
    assert.deepEqual(layer.forward(zeros(device, [1, 5, 5, 2])).shape, [1, 5, 5, 3]);
    assert.throws(() => layer.forward(zeros(device, [1, 5, 5, 3])), TypeError);
    assert.throws(() => layer.forward(zeros(device, [5, 5, 2])), TypeError);
  }
});
