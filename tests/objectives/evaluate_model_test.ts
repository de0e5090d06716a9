import assert from "node:assert/strict";
import { withoutGradients } from "../../core/execute.ts";
import { add } from "../../core/functions/elementwise.ts";
import { randomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import { evaluate } from "../../objectives/evaluate_model.ts";
import type { QuantizeContext } from "../../quantizers/quantizer.ts";
import { evaluationProtocol, protocolHash, testNumbers } from "../../objectives/protocol.ts";
import { openRoundedReference } from "../mixed.ts";
import { openTestDevices } from "../helpers.ts";
import { tinyModel, waves } from "../training/tiny.ts";

const KEY = randomKey(7, "evaluation");

for (const device of await openTestDevices()) {
  Deno.test(`an evaluation is the plain mean over all images, on ${device.name}`, async () => {
    using model = tinyModel(device);
    const dataset = waves(4, 11);
    const before = device.liveBytes;
    const batches = evaluationBatches(dataset, { split: "test", batchSize: 4 });
    const result = await evaluate(device, model, batches, dataset.imageShape, KEY);
    assert.equal(device.liveBytes, before);

    const every = Int32Array.from({ length: 11 }, (_, index) => index);
    const originals = await dataset.images("test", every);
    using _scope = device.scope();
    const { reconstruction, quantized } = withoutGradients(() =>
      model.forward(device.tensor(originals, [11, 8, 8, 1]), { training: false, key: KEY })
    );
    const rebuilt = await reconstruction.floats();
    const indices = await quantized.indices.integers();
    const errors = [...every].map((image) =>
      originals.subarray(image * 64, (image + 1) * 64)
        .reduce((sum, value, i) => sum + (value - rebuilt[image * 64 + i]) ** 2, 0) / 64
    );
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / 11;
    assert.ok(Math.abs(result.mse / mean(errors) - 1) < 1e-5);
    const psnr = mean(errors.map((error) => 10 * Math.log10(4 / error)));
    assert.ok(Math.abs(result.psnr - psnr) < 1e-4);
    const counts = new Int32Array(8);
    for (const index of indices) counts[index]++;
    assert.deepEqual(result.counts, counts);
    assert.equal(result.usage, counts.filter((count) => count > 0).length / 8);
    assert.ok(result.perplexity >= 1 && result.perplexity <= 8);
    assert.equal(result.images, 11);
    assert.ok(Math.abs(result.psnrOfMse - 10 * Math.log10(4 / mean(errors))) < 1e-4);
    assert.deepEqual([result.equalImages, result.precision], [0, "float32"]);
  });

  Deno.test(`an evaluation without images is rejected, on ${device.name}`, async () => {
    using model = tinyModel(device);
    async function* nothing() {}
    await assert.rejects(evaluate(device, model, nothing(), [8, 8, 1], KEY), {
      name: "RangeError",
      message: "Cannot evaluate: at least one batch is needed, got none",
    });
  });
}

Deno.test("equal images are counted, and infinite numbers are written to JSON as text", async () => {
  using device = openRoundedReference();
  using model = tinyModel(device);
  const key = KEY, dataset = waves(4, 3);
  const every = Int32Array.from({ length: 3 }, (_, index) => index);
  const images = await dataset.images("test", every);
  using _scope = device.scope();
  const originals = device.tensor(images, [3, 8, 8, 1]);
  // A model that gives its images back, but for those whose share is asked for.
  const perfect = (lighter: number) =>
    Object.assign(Object.create(model), {
      forward: (given: Tensor, context: QuantizeContext) => ({
        ...model.forward(given, context),
        reconstruction: add(given, device.tensor([lighter, 0, 0], [3, 1, 1, 1])),
      }),
    });
  async function* batches() {
    yield await Promise.resolve({ images, count: originals.shape[0] });
  }
  const measure = async (lighter: number) =>
    await evaluate(device, perfect(lighter), batches(), dataset.imageShape, key);

  const equal = await testNumbers(await measure(0), dataset);
  assert.deepEqual(
    [equal.equalImages, equal.mse, equal.psnr, equal.psnrOfMse],
    [3, 0, "Infinity", "Infinity"],
  );
  assert.equal(JSON.parse(JSON.stringify(equal)).psnr, "Infinity");
  const one = await measure(0.5);
  assert.deepEqual([one.equalImages, one.precision], [2, "mixed"]);
  assert.ok(Math.abs(one.psnr - 10 * Math.log10(4 / 0.25)) < 1e-4);
  assert.ok(Math.abs(one.psnrOfMse - 10 * Math.log10(12 / 0.25)) < 1e-4);
  const float32 = await protocolHash(evaluationProtocol(dataset));
  assert.notEqual((await testNumbers(one, dataset)).protocol, float32);
  assert.equal((await testNumbers({ ...one, precision: "float32" }, dataset)).protocol, float32);
});
