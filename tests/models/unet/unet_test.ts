/** The U-Net: what PyTorch computes with the same weights, its shapes, its start, and what it refuses. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { backward, parameter } from "../../../core/execute.ts";
import { mul } from "../../../core/functions/elementwise.ts";
import { mean } from "../../../core/functions/reductions.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device } from "../../../core/tensor.ts";
import { readSafetensors } from "../../../files/safetensors.ts";
import { createModel, UNETS } from "../../../models/registry.ts";
import { unetFromLdm } from "../../../models/unet/ldm_names.ts";
import { SMALL_UNET, UNet, type UNetOptions } from "../../../models/unet/unet.ts";
import { draw, testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";

const devices = await openTestDevices();

const key = randomKey(1, "unet");
const context = { training: false, key };
const TINY = {
  ...SMALL_UNET,
  width: 8,
  groups: 4,
  headChannels: 4,
  channels: 3,
  classes: null,
  key,
};

/** float32 against float64 through some thirty layers. The requirement. */
const PYTORCH = 1e-4;

function entriesOf<T>(tensors: ReadonlyMap<string, T>, prefix: string): Map<string, T> {
  const own = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

for (const name of ["plain", "class-scale-shift", "cross-attention"]) {
  const url = new URL(`../../fixtures/unet/${name}.safetensors`, import.meta.url);
  const { tensors, metadata } = await readSafetensors(fileURLToPath(url));
  const of = (part: string) => tensors.get(part)!;
  testOnEach(
    devices,
    `${name}: the output and all gradients agree with PyTorch`,
    async (device) => {
      const model = new UNet(device, {
        ...JSON.parse(metadata.get("settings")!),
        channels: Number(metadata.get("channels")),
        classes: JSON.parse(metadata.get("classes")!),
        key,
      });
      model.loadStateDictionary(unetFromLdm(entriesOf(tensors, "weight.")));
      const host = (part: string) => device.tensor(of(part).values, of(part).shape);
      const labels = tensors.has("labels") ? host("labels") : undefined;
      const x = parameter(host("x"));
      const y = model.forward(x, of("times").values, { ...context, labels });
      assertClose(await y.floats(), of("y").values, PYTORCH, "the output");
      const parameters = model.namedParameters();
      const [dx, ...gradients] = backward(mean(mul(y, host("upstream"))), [
        x,
        ...parameters.values(),
      ]);
      assertClose(await dx.floats(), of("dx").values, PYTORCH, "the input's gradient");
      const expected = unetFromLdm(entriesOf(tensors, "gradient."));
      assert.equal(expected.size, parameters.size);
      for (const [index, path] of [...parameters.keys()].entries()) {
        const { shape, values } = expected.get(path)!;
        assert.deepEqual(gradients[index].shape, shape, path);
        // One vector to attend to leaves nothing to choose: queries have no gradient.
        const tolerance = values.every((value) => value === 0) ? { absolute: 1e-10 } : PYTORCH;
        assertClose(await gradients[index].floats(), values, tolerance, path);
      }
    },
  );
}

testOnEach(devices, "the initial output is zero for any input", async (device) => {
  for (const conditioning of ["embedding", "cross-attention"] as const) {
    const model = new UNet(device, { ...TINY, conditioning, classes: 2 });
    const x = device.tensor(draw([2, 5, 5, 3], "x"), [2, 5, 5, 3]);
    const y = model.forward(x, [1, 999], context);
    assert.deepEqual(y.shape, x.shape);
    assert.ok((await y.floats()).every((value) => value === 0));
  }
});

/** A model whose output is not zero. */
function awake(device: Device, options: Partial<UNetOptions>): UNet {
  const model = new UNet(device, { ...TINY, ...options });
  for (const [name, tensor] of model.namedParameters()) {
    tensor.write(draw(tensor.shape, name, -0.3, 0.3));
  }
  return model;
}

testOnEach(devices, "without labels the last embedding, for no class, is used", async (device) => {
  for (const conditioning of ["embedding", "cross-attention"] as const) {
    const model = awake(device, { conditioning, classes: 2 });
    const x = device.tensor(draw([1, 4, 4, 3], "x"), [1, 4, 4, 3]);
    const of = async (label?: number) => {
      const labels = label === undefined ? undefined : device.tensor(Int32Array.of(label), [1]);
      return await model.forward(x, [10], { ...context, labels }).floats();
    };
    assert.deepEqual(await of(), await of(2));
    assert.notDeepEqual(await of(), await of(1));
    assert.notDeepEqual(await of(0), await of(1));
  }
});

testOnEach(devices, "an image's output does not depend on the other images", async (device) => {
  const model = awake(device, { classes: 2 });
  const x = draw([2, 4, 4, 3], "x");
  const both = await model.forward(device.tensor(x, [2, 4, 4, 3]), [10, 700], context).floats();
  const second = device.tensor(x.slice(48), [1, 4, 4, 3]);
  assertClose(await model.forward(second, [700], context).floats(), both.slice(48), 1e-6, "alone");
});

testOnEach(
  devices,
  "dropout is active in training only, and depends on the key",
  async (device) => {
    const model = awake(device, { dropout: 0.5 });
    const x = device.tensor(draw([1, 4, 4, 3], "x"), [1, 4, 4, 3]);
    const run = (training: boolean, stream: string) =>
      model.forward(x, [10], { training, key: randomKey(1, stream) }).floats();
    assert.deepEqual(await run(true, "a"), await run(true, "a"));
    assert.notDeepEqual(await run(true, "a"), await run(true, "b"));
    assert.deepEqual(await run(false, "a"), await run(false, "b"));
  },
);

testOnEach(devices, "invalid inputs are rejected", (device) => {
  const model = new UNet(device, TINY);
  const refused = (message: string) => ({ name: "TypeError", message });
  const image = device.tensor(new Float32Array(48), [1, 4, 4, 3]);
  const label = device.tensor(Int32Array.of(0), [1]);
  assert.throws(
    () => model.forward(device.tensor(new Float32Array(16), [1, 4, 4, 1]), [1], context),
    refused("Cannot denoise: the images must be [B, H, W, 3], got shape [1, 4, 4, 1]"),
  );
  assert.throws(
    () => model.forward(image, [1, 2], context),
    refused("Cannot denoise: each of the 1 images must have a time, got 2"),
  );
  assert.throws(
    () => model.forward(image, [1], { ...context, labels: label }),
    refused("Cannot denoise: a network without classes takes no labels, got some"),
  );
  const told = new UNet(device, { ...TINY, classes: 2, resample: "residual" });
  assert.throws(
    () => told.forward(image, [1], { ...context, labels: device.tensor(Int32Array.of(0, 1), [2]) }),
    refused("Cannot denoise: the labels must be [1], got shape [2]"),
  );
  assert.throws(
    () => told.forward(device.tensor(new Float32Array(36), [1, 3, 4, 3]), [1], context),
    refused(
      'Cannot denoise: with resample "residual" the sides must be divisible by 2, got 3×4',
    ),
  );
});

for (
  const [settings, requirement] of [
    [{ width: 7 }, "width must be even, got 7"],
    [{ attentionAt: [4] }, "attentionAt must be among the downsampling factors [1, 2], got 4"],
    [{ groups: 3 }, "groups must divide a level's 8 channels, got 3"],
    [{ headChannels: 5 }, "headChannels must divide a level's 8 channels, got 5"],
    [{ headChannels: null, heads: 5 }, "heads must divide a level's 8 channels, got 5"],
  ] as const
) {
  Deno.test(`a U-Net is rejected whose ${requirement}`, () => {
    assert.throws(() => new UNet(devices[0], { ...TINY, ...settings }), {
      name: "RangeError",
      message: `Cannot make a U-Net: ${requirement}`,
    });
  });
}

Deno.test("the registry creates a U-Net, with the small one's settings as defaults", () => {
  using _scope = devices[0].scope();
  const needs = { channels: 64, classes: 10 };
  const model = createModel(UNETS, devices[0], needs, { type: "unet" }, key);
  const count = model.parameters().reduce((total, { size }) => total + size, 0);
  const direct = new UNet(devices[0], { ...SMALL_UNET, ...needs, key });
  assert.equal(count, direct.parameters().reduce((total, { size }) => total + size, 0));
  assert.ok(count > 1e6 && count < 3e6, `${count}`);
});
