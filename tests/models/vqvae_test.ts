/** The small VQ-VAE: its shapes, its size and its names. */
import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { ones, zeros } from "../../core/functions/creation.ts";
import { add } from "../../core/functions/elementwise.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { VQVAE, type VQVAEOptions } from "../../models/vqvae.ts";
import { meanSquaredError } from "../../nn/losses.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();
const [reference] = devices;

const key = randomKey(1, "vqvae");
const context = { training: true, key };

const SMALL = { hidden: 8, residualHidden: 4, key };

function makeModel(
  device: Device,
  options: VQVAEOptions,
  [codebookSize, codebookDim]: readonly [number, number] = [6, 4],
): VQVAE {
  return new VQVAE(
    device,
    new VanillaQuantizer(device, { codebookSize, codebookDim, key }),
    options,
  );
}

for (const [side, channels] of [[28, 1], [32, 3]] as const) {
  testOnEach(
    devices,
    `${side}×${side}×${channels}: the code grid has a quarter of the side, and decoding restores the shape`,
    async (device) => {
      const model = makeModel(device, { channels, ...SMALL });
      const shape = [2, side, side, channels];
      const images = device.tensor(draw(shape, "images"), shape);
      const { features, quantized, reconstruction } = model.forward(images, context);
      assert.deepEqual(features.shape, [2, side / 4, side / 4, 4]);
      assert.deepEqual(quantized.quantized.shape, features.shape);
      assert.deepEqual(quantized.indices.shape, [2, side / 4, side / 4]);
      assert.deepEqual(reconstruction.shape, shape);
      assert.ok((await reconstruction.floats()).every(Number.isFinite));
      const decoded = model.decoder.forward(model.quantizer.lookup(quantized.indices));
      assert.deepEqual(
        await decoded.floats(),
        await reconstruction.floats(),
        "codes alone suffice",
      );
    },
  );
}

/** Parameters of the model's layers, each with a bias, as PyTorch counts them. */
function parameterCount(
  C: number,
  H: number,
  R: number,
  layers: number,
  K: number,
  D: number,
): number {
  const convolution = (kernel: number, inputs: number, outputs: number) =>
    kernel * kernel * inputs * outputs + outputs;
  const stack = layers * (convolution(3, H, R) + convolution(1, R, H));
  const encoder = convolution(4, C, H / 2) + convolution(4, H / 2, H) + convolution(3, H, H) +
    stack +
    convolution(1, H, D);
  const decoder = convolution(3, D, H) + stack + convolution(4, H, H / 2) +
    convolution(4, H / 2, C);
  return encoder + K * D + decoder;
}

Deno.test("the model has as many parameters as the authors' layers", () => {
  using _scope = reference.scope();
  const count = (model: VQVAE) => model.parameters().reduce((sum, { size }) => sum + size, 0);
  const small = { channels: 1, hidden: 8, residualHidden: 4, residualLayers: 3, key };
  assert.equal(count(makeModel(reference, small)), parameterCount(1, 8, 4, 3, 6, 4));
  const full = makeModel(reference, { channels: 3, key }, [512, 64]);
  assert.equal(count(full), parameterCount(3, 128, 32, 2, 512, 64));
  assert.equal(count(full), 695_491, "the default model on colour images");
});

const convolution = (name: string): string[] => [`${name}.weight`, `${name}.bias`];

Deno.test("the names of the state match those in checkpoints", async () => {
  using _scope = reference.scope();
  const quantizer = new ClusteredQuantizer(reference, {
    codebookSize: 6,
    codebookDim: 4,
    anchor: "random",
    key,
  });
  const model = new VQVAE(reference, quantizer, { channels: 1, ...SMALL });
  const stack = (side: string) =>
    [0, 1].flatMap((block) =>
      ["conv3", "conv1"].flatMap((layer) => convolution(`${side}.residual.${block}.${layer}`))
    );
  const parameters = [
    ...["conv1", "conv2", "conv3", "toFeatures"].flatMap((name) => convolution(`encoder.${name}`)),
    ...stack("encoder"),
    "quantizer.codebook",
    ...["conv1", "up1", "up2"].flatMap((name) => convolution(`decoder.${name}`)),
    ...stack("decoder"),
  ];
  assert.deepEqual([...model.namedParameters().keys()].sort(), parameters.toSorted());
  const state = [
    ...parameters,
    "quantizer.reanchoring.runningUsage",
    "quantizer.reanchoring.anchored",
    "quantizer.reanchoring.anchors.pool",
    "quantizer.reanchoring.anchors.filled",
  ];
  assert.deepEqual([...(await model.stateDictionary()).keys()].sort(), state.toSorted());
});

testOnEach(devices, "every parameter gets a gradient", async (device) => {
  const model = makeModel(device, { channels: 3, ...SMALL });
  const images = device.tensor(draw([2, 8, 12, 3], "images"), [2, 8, 12, 3]);
  const { reconstruction, quantized } = model.forward(images, context);
  const loss = Object.values(quantized.losses).reduce(
    add,
    meanSquaredError(reconstruction, images),
  );
  const named = [...model.namedParameters()];
  const gradients = backward(loss, named.map(([, tensor]) => tensor));
  for (const [index, [name]] of named.entries()) {
    const values = await gradients[index].floats();
    assert.ok(values.every(Number.isFinite) && values.some((value) => value !== 0), name);
  }
});

Deno.test("the key determines the initial weights, different for each layer", async () => {
  using _scope = reference.scope();
  const options = { channels: 1, ...SMALL };
  const state = await makeModel(reference, options).stateDictionary();
  assert.deepEqual(await makeModel(reference, options).stateDictionary(), state);
  const other = makeModel(reference, { ...options, key: randomKey(2, "vqvae") });
  assert.notDeepEqual(
    (await other.stateDictionary()).get("encoder.conv1.weight"),
    state.get("encoder.conv1.weight"),
  );
  // Draws from one stream start with the same number, whatever their bounds.
  const starts = [...state].map(([name, { values }]) => {
    const bound = name === "quantizer.codebook" ? 1 / 6 : Math.max(...values.map(Math.abs));
    return (values[0] / bound).toFixed(3);
  });
  assert.ok(new Set(starts).size > 0.9 * starts.length, `${starts}`);
});

testOnEach(devices, "images of an invalid shape are rejected before anything runs", (device) => {
  const model = makeModel(device, { channels: 3, ...SMALL });
  for (
    const shape of [[1, 30, 28, 3], [1, 28, 30, 3], [1, 2, 28, 3], [1, 28, 28, 1], [28, 28, 3]]
  ) {
    assert.throws(() => model.forward(zeros(device, shape), context), {
      name: "TypeError",
      message: "Cannot encode images: they must be [B, H, W, 3] with sides divisible by 4, " +
        `got shape [${shape.join(", ")}]`,
    });
  }
  assert.deepEqual(
    model.forward(ones(device, [1, 4, 8, 3]), context).reconstruction.shape,
    [1, 4, 8, 3],
  );
  assert.throws(() => makeModel(device, { channels: 3, hidden: 7, key }), {
    name: "RangeError",
    message: "Cannot make a VQ-VAE: hidden must be even, got 7",
  });
  assert.throws(() => makeModel(device, { channels: 0, ...SMALL }), RangeError);
});
