import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { zeros } from "../../core/functions/creation.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { Discriminator } from "../../models/discriminator.ts";
import { fromPyTorch } from "../../training/pretrained/layout.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { discriminatorNames, fixture, loadTheirs } from "../pytorch_weights.ts";
import { assertClose } from "../tolerances.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "discriminator");
/** The requirement: five layers in float32 against the same in float64. */
const NETWORK = 1e-4;

testOnEach(
  devices,
  "logits, gradients and running statistics agree with PyTorch, in training and in evaluation",
  async (device) => {
    const { tensors } = await readSafetensors(fixture("discriminator.safetensors"));
    const take = (name: string) => {
      const { shape, values } = tensors.get(name)!;
      return device.tensor(values as Float32Array<ArrayBuffer>, shape);
    };
    const names = discriminatorNames(2);
    const discriminator = new Discriminator(device, { channels: 3, width: 4, layers: 2, key });
    await loadTheirs(discriminator, tensors, names, "weight.");
    const images = parameter(take("images"));
    const logits = discriminator.forward(images, { training: true, key });
    assertClose(await logits.floats(), tensors.get("logits")!.values, NETWORK, "logits");
    const named = [...discriminator.namedParameters()];
    const wanted = [images, ...named.map(([, tensor]) => tensor)];
    const [byImages, ...gradients] = backward(sum(mul(logits, take("probe"))), wanted);
    const expected = tensors.get("gradient.images")!.values;
    assertClose(await byImages.floats(), expected, NETWORK, "gradient by the images");
    for (const [index, [name]] of named.entries()) {
      const { name: theirs, layout } = names(name)!;
      const { values } = fromPyTorch(tensors.get(`gradient.${theirs}`)!, layout);
      assertClose(await gradients[index].floats(), values, NETWORK, theirs);
    }
    assert.equal(named.length, [...tensors.keys()].filter((n) => /^gradient\.main/.test(n)).length);
    for (const [name, buffer] of discriminator.namedBuffers()) {
      const { values } = tensors.get(`after.${names(name)!.name}`)!;
      assertClose(await buffer.floats(), values, NETWORK, name);
    }
    const evaluated = discriminator.forward(images);
    assertClose(await evaluated.floats(), tensors.get("evaluated")!.values, NETWORK, "evaluated");
  },
);

Deno.test("initial weights are normal, norm scales are around 1, and 256×256 images give 30×30 logits", async () => {
  using _scope = reference.scope();
  const discriminator = new Discriminator(reference, { channels: 3, key });
  const deviation = (values: Float32Array, centre: number) =>
    Math.sqrt(values.reduce((total, value) => total + (value - centre) ** 2, 0) / values.length);
  for (const [name, tensor] of discriminator.namedParameters()) {
    if (!name.endsWith("weight")) continue;
    const around = name.includes("norm") ? 1 : 0;
    const got = deviation(await tensor.floats(), around);
    assert.ok(Math.abs(got - 0.02) < 0.004, `${name}: ${got}`);
  }
  const count = discriminator.parameters().reduce((total, { size }) => total + size, 0);
  const filters = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512);
  assert.equal(count, filters + 64 + 1 + 2 * (128 + 256 + 512), "filters, biases and norms");
  assert.equal(Discriminator.leastSide(3), 24);
  const small = new Discriminator(reference, { channels: 1, width: 1, key });
  assert.deepEqual(small.forward(zeros(reference, [1, 256, 256, 1])).shape, [1, 30, 30, 1]);
  assert.deepEqual(small.forward(zeros(reference, [1, 24, 24, 1])).shape, [1, 1, 1, 1]);
  assert.throws(() => small.forward(zeros(reference, [1, 16, 16, 1])), TypeError);
});
