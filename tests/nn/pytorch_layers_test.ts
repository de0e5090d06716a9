/** PyTorch's numbers for layers, forward and backward, reproduced on every device; see tests/fixtures/layers/make.py. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { assign, backward, parameter } from "../../core/execute.ts";
import { attention } from "../../core/functions/attention.ts";
import { gelu, mul } from "../../core/functions/elementwise.ts";
import { groupNorm, layerNorm } from "../../core/functions/normalization.ts";
import { conv2d } from "../../core/functions/products.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { Attention } from "../../nn/attention.ts";
import { BatchNorm } from "../../nn/batch_norm.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING } from "../tolerances.ts";

const devices = await openTestDevices();
const key = randomKey(1, "pytorch");
const path = fileURLToPath(new URL("../fixtures/layers/layers.safetensors", import.meta.url));
const { tensors } = await readSafetensors(path);

/** A fixture's tensor on a device. */
function load(device: Device, name: string): Tensor {
  const fixture = tensors.get(name);
  assert.ok(fixture, name);
  return device.tensor(fixture.values, fixture.shape);
}

async function check(got: Tensor, name: string): Promise<void> {
  const fixture = tensors.get(name);
  assert.ok(fixture, name);
  assert.deepEqual(got.shape, fixture.shape, name);
  assertClose(await got.floats(), fixture.values, CANCELLING, name);
}

/** Checks the output of a case and the gradients of its operands. */
async function checkCase(
  name: string,
  operands: Readonly<Record<string, Tensor>>,
  forward: () => Tensor,
): Promise<void> {
  const y = forward();
  const loss = sum(mul(y, load(y.device, `${name}.g`)));
  const gradients = backward(loss, Object.values(operands));
  await check(y, `${name}.y`);
  for (const [index, operand] of Object.keys(operands).entries()) {
    await check(gradients[index], `${name}.d${operand}`);
  }
}

/** The operands of a case, as parameters. */
function operandsOf<N extends string>(
  device: Device,
  name: string,
  ...operands: readonly N[]
): Readonly<Record<N, Tensor>> {
  const entries = operands.map((operand) => [
    operand,
    parameter(load(device, `${name}.${operand}`)),
  ]);
  return Object.fromEntries(entries);
}

for (const name of ["attention", "causal"]) {
  testOnEach(devices, `attention agrees with PyTorch: ${name}`, async (device) => {
    const operands = operandsOf(device, name, "q", "k", "v");
    const { q, k, v } = operands;
    await checkCase(name, operands, () => attention(q, k, v, { causal: name === "causal" }));
  });
}

testOnEach(devices, "the attention layer agrees with PyTorch", async (device) => {
  const layer = new Attention(device, 12, { heads: 3, key });
  for (const [name, value] of layer.namedParameters()) {
    assign(value, load(device, `multihead.${name}`));
  }
  const operands = operandsOf(device, "multihead", "x", "memory");
  const { x, memory } = operands;
  await checkCase("multihead", operands, () => layer.forward(x, undefined, { memory }));
});

testOnEach(devices, "batch normalisation agrees with PyTorch", async (device) => {
  const layer = new BatchNorm(device, 5);
  assign(layer.weight, load(device, "batch.weight"));
  assign(layer.bias, load(device, "batch.bias"));
  const context = { training: true, key };
  layer.forward(load(device, "batch.before"), context);
  const { x } = operandsOf(device, "batch", "x");
  const operands = { x, weight: layer.weight, bias: layer.bias };
  await checkCase("batch", operands, () => layer.forward(x, context));
  await check(layer.runningMean, "batch.mean");
  await check(layer.runningVariance, "batch.variance");
  await check(layer.forward(x), "batch.evaluated");
});

testOnEach(devices, "group normalisation with SiLU agrees with PyTorch", async (device) => {
  const operands = operandsOf(device, "group", "x", "gain", "shift");
  const { x, gain, shift } = operands;
  const options = { groups: 4, epsilon: 1e-6, silu: true };
  await checkCase("group", operands, () => groupNorm(x, gain, shift, options));
});

testOnEach(devices, "layer normalisation agrees with PyTorch", async (device) => {
  const operands = operandsOf(device, "layer", "x", "gain", "shift");
  await checkCase("layer", operands, () => layerNorm(operands.x, operands.gain, operands.shift));
});

testOnEach(devices, "gelu agrees with PyTorch", async (device) => {
  const operands = operandsOf(device, "gelu", "x");
  await checkCase("gelu", operands, () => gelu(operands.x));
});

testOnEach(devices, "padding below and right agrees with PyTorch", async (device) => {
  const operands = operandsOf(device, "downsample", "x", "w");
  const { x, w } = operands;
  await checkCase("downsample", operands, () => conv2d(x, w, { stride: 2, paddingAfter: 1 }));
});
