import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { zeros } from "../../core/functions/creation.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { meanSquaredError } from "../../nn/losses.ts";
import { AUTOENCODERS, createModel } from "../../models/registry.ts";
import { VQGAN, type VQGANOptions } from "../../models/vqgan/vqgan.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { fromPyTorch } from "../../training/pretrained/layout.ts";
import { tamingNames } from "../../training/pretrained/vqgan_names.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { fixture, loadTheirs } from "../pytorch_weights.ts";
import { assertClose } from "../tolerances.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "vqgan");
const context = { training: false, key };
/** The requirement: some thirty layers in float32 against the same in float64. */
const NETWORK = 1e-4;
/** A key's bias shifts all of a query's products alike, which softmax does not see: its gradient is rounding around 0. */
const KEY_BIAS = /\bkey\.bias$/, NOTHING = { absolute: 1e-5 };
const SMALL = {
  channels: 3,
  ch: 4,
  chMult: [1, 2],
  numResBlocks: 1,
  resolution: 8,
  attnResolutions: [4],
  groups: 2,
  key,
} as const;

function makeModel(device: Device, options: Partial<VQGANOptions> = {}, K = 12): VQGAN {
  const quantizer = new VanillaQuantizer(device, { codebookSize: K, codebookDim: 4, key });
  return new VQGAN(device, quantizer, { ...SMALL, ...options });
}

for (const norm of ["group", "spatial"] as const) {
  testOnEach(
    devices,
    `encoder and decoder with ${norm} norms agree with PyTorch in values and gradients`,
    async (device) => {
      const { tensors } = await readSafetensors(fixture(`networks-${norm}.safetensors`));
      const take = (name: string) => {
        const { shape, values } = tensors.get(name)!;
        return device.tensor(values as Float32Array<ArrayBuffer>, shape);
      };
      const model = makeModel(device, { zChannels: 6, norm });
      await loadTheirs(model, tensors, tamingNames, "weight.");
      const images = parameter(take("images")), codes = parameter(take("codes"));
      const features = model.encode(images), reconstruction = model.decode(codes);
      const loss = add(
        sum(mul(features, take("featuresProbe"))),
        sum(mul(reconstruction, take("reconstructionProbe"))),
      );
      const close = async (got: { floats(): Promise<Float32Array> }, name: string) =>
        assertClose(await got.floats(), tensors.get(name)!.values, NETWORK, name);
      await close(features, "features");
      await close(reconstruction, "reconstruction");
      const named = [...model.namedParameters()].filter(([name]) => !/^quantizer\./.test(name));
      const gradients = backward(loss, [images, codes, ...named.map(([, tensor]) => tensor)]);
      await close(gradients[0], "gradient.images");
      await close(gradients[1], "gradient.codes");
      const checked = await Promise.all(named.map(async ([name], index) => {
        const { name: theirs, layout } = tamingNames(name)!;
        const wanted = fromPyTorch(tensors.get(`gradient.${theirs}`)!, layout);
        const tolerance = KEY_BIAS.test(name) ? NOTHING : NETWORK;
        assertClose(await gradients[2 + index].floats(), wanted.values, tolerance, theirs);
      }));
      const theirs = [...tensors.keys()].filter((name) => /^gradient\.(?!images|codes)/.test(name));
      assert.equal(checked.length, theirs.length, "every parameter of theirs is one of ours");
    },
  );
}

testOnEach(
  devices,
  "every parameter gets gradients through spatial norms and dropout",
  async (device) => {
    const model = makeModel(device, { norm: "spatial", dropout: 0.2 });
    const images = device.tensor(draw([2, 8, 12, 3], "images"), [2, 8, 12, 3]);
    const training = { training: true, key };
    const { reconstruction, quantized, features } = model.forward(images, training);
    assert.deepEqual(features.shape, [2, 4, 6, 4]);
    assert.deepEqual(reconstruction.shape, images.shape);
    const loss = Object.values(quantized.losses).reduce(
      add,
      meanSquaredError(reconstruction, images),
    );
    const named = [...model.namedParameters()];
    const gradients = backward(loss, named.map(([, tensor]) => tensor));
    for (const [index, [name]] of named.entries()) {
      const values = await gradients[index].floats();
      if (KEY_BIAS.test(name)) continue;
      assert.ok(values.every(Number.isFinite) && values.some((value) => value !== 0), name);
    }
  },
);

for (const norm of ["group", "spatial"] as const) {
  testOnEach(
    devices,
    `recomputation with ${norm} norms takes less memory and gives the same gradients bit for bit`,
    async (device) => {
      const images = device.tensor(draw([2, 8, 12, 3], "images"), [2, 8, 12, 3]);
      const gradientsOf = async (recompute: boolean) => {
        const model = makeModel(device, { norm, dropout: 0.2, recompute });
        const before = device.liveBytes;
        const { reconstruction, quantized } = model.forward(images, { training: true, key });
        const loss = Object.values(quantized.losses).reduce(
          add,
          meanSquaredError(reconstruction, images),
        );
        const kept = device.liveBytes - before;
        const gradients = backward(loss, model.parameters());
        return { kept, values: await Promise.all(gradients.map((tensor) => tensor.floats())) };
      };
      const plain = await gradientsOf(false), frugal = await gradientsOf(true);
      assert.deepEqual(frugal.values, plain.values);
      assert.ok(frugal.kept < plain.kept / 2, `${frugal.kept} bytes kept of ${plain.kept}`);
    },
  );
}

/** Parameters of the published architecture: its layers counted one by one. */
function countOf(
  ch: number,
  mult: number[],
  blocks: number,
  attends: boolean[],
  D: number,
): number {
  const conv = (kernel: number, inputs: number, outputs: number) =>
    kernel * kernel * inputs * outputs + outputs;
  const resnet = (inputs: number, outputs: number) =>
    2 * inputs + conv(3, inputs, outputs) + 2 * outputs + conv(3, outputs, outputs) +
    (inputs === outputs ? 0 : conv(1, inputs, outputs));
  const attention = (width: number) => 2 * width + 4 * conv(1, width, width);
  const middle = (width: number) => 2 * resnet(width, width) + attention(width);
  const widths = mult.map((times) => ch * times), last = widths[widths.length - 1];
  const level = (inputs: number, outputs: number, count: number, attend: boolean) =>
    resnet(inputs, outputs) + (count - 1) * resnet(outputs, outputs) +
    (attend ? count * attention(outputs) : 0);
  let total = conv(3, 3, ch) + 2 * middle(last) + 2 * last + conv(3, last, D) + conv(3, D, last) +
    2 * widths[0] + conv(3, widths[0], 3) + 2 * conv(1, D, D);
  widths.forEach((width, at) => {
    total += level(widths[at - 1] ?? ch, width, blocks, attends[at]);
    total += level(widths[at + 1] ?? last, width, blocks + 1, attends[at]);
    if (at < widths.length - 1) {
      total += conv(3, width, width) + conv(3, widths[at + 1], widths[at + 1]);
    }
  });
  return total;
}

Deno.test("the networks have the expected number of parameters, named by fields", () => {
  using _scope = reference.scope();
  const model = makeModel(reference, {
    chMult: [1, 2, 3],
    numResBlocks: 2,
    attnResolutions: [4, 2],
  });
  const count = model.parameters().reduce((total, { size }) => total + size, 0);
  assert.equal(count, countOf(4, [1, 2, 3], 2, [false, true, true], 4) + 12 * 4);
  const names = new Set(model.namedParameters().keys());
  for (
    const name of [
      "encoder.convIn.weight",
      "encoder.down.1.block.0.shortcut.bias",
      "encoder.down.1.attention.1.attention.query.weight",
      "encoder.down.0.downsample.weight",
      "encoder.mid.attention.norm.weight",
      "decoder.up.1.upsample.bias",
      "decoder.mid.block2.conv2.weight",
      "decoder.normOut.bias",
      "quantConv.weight",
      "postQuantConv.bias",
      "quantizer.codebook",
    ]
  ) assert.ok(names.has(name), name);
  assert.equal(model.lastWeight, model.namedParameters().get("decoder.convOut.weight"));
});

Deno.test("the key determines the initial weights, different for each layer", async () => {
  using _scope = reference.scope();
  const state = await makeModel(reference).stateDictionary();
  assert.deepEqual(await makeModel(reference).stateDictionary(), state);
  const starts = [...state].filter(([name, { shape }]) =>
    shape.length > 1 && !name.startsWith("quantizer.")
  ).map(([, { values }]) => (values[0] / Math.max(...values.map(Math.abs))).toFixed(3));
  assert.ok(new Set(starts).size > 0.9 * starts.length, `${starts}`);
});

Deno.test("invalid settings are rejected with what is allowed", () => {
  using _scope = reference.scope();
  const refused = (options: Partial<VQGANOptions>, message: string) =>
    assert.throws(() => makeModel(reference, options), { name: "RangeError", message });
  refused(
    { attnResolutions: [5] },
    "Cannot make a VQGAN: attnResolutions must be among those of the levels, 8, 4, got 5",
  );
  refused(
    { resolution: 9, attnResolutions: [] },
    "Cannot make a VQGAN: the resolution must be divisible by 2 for 2 levels, got 9",
  );
  refused(
    { groups: 3 },
    "Cannot make a VQGAN: groups must divide the channels of every norm, such as 4, got 3",
  );
  refused(
    { chMult: [] },
    "Cannot make a VQGAN: chMult must have a number for each level, got none",
  );
  assert.throws(() => makeModel(reference).encode(zeros(reference, [1, 8, 7, 3])), {
    name: "TypeError",
    message:
      "Cannot encode images: they must be [B, H, W, 3] with sides divisible by 2, got shape [1, 8, 7, 3]",
  });
  const spatial = makeModel(reference, { norm: "spatial" });
  assert.throws(() => spatial.decoder.forward(zeros(reference, [1, 4, 4, 4])), {
    name: "TypeError",
    message:
      "Cannot modulate a norm: the codes' grid must divide that of the features [1, 4, 4, 8], got no codes",
  });
});

Deno.test("the registry creates a VQGAN with any quantiser", () => {
  using _scope = reference.scope();
  const quantizer = new VanillaQuantizer(reference, { codebookSize: 8, codebookDim: 3, key });
  const { channels, key: _key, ...settings } = SMALL;
  const config = { type: "vqgan", ...settings, zChannels: 5 };
  const model = createModel(AUTOENCODERS, reference, { quantizer, channels }, config, key);
  const images = zeros(reference, [1, 8, 8, 3]);
  const { features, reconstruction } = model.forward(images, context);
  assert.deepEqual([features.shape, reconstruction.shape], [[1, 4, 4, 3], [1, 8, 8, 3]]);
  assert.equal(model.downsampling, 2);
});
