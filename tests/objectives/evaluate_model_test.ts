import assert from "node:assert/strict";
import { withoutGradients } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { evaluationBatches } from "../../data/batches.ts";
import { evaluate } from "../../objectives/evaluate_model.ts";
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
  });

  Deno.test(`an evaluation of nothing is refused, on ${device.name}`, async () => {
    using model = tinyModel(device);
    async function* nothing() {}
    await assert.rejects(evaluate(device, model, nothing(), [8, 8, 1], KEY), {
      name: "RangeError",
      message: "Cannot evaluate: at least one batch is needed, got none",
    });
  });
}
