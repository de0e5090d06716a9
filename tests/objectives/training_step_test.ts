import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Adam } from "../../nn/optimizers.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import type { CodebookQuantizer } from "../../quantizers/codebook.ts";
import { HardFeaturesQuantizer } from "../../quantizers/hard_features.ts";
import { trainingStep } from "../../objectives/training_step.ts";
import { openTestDevices } from "../helpers.ts";
import { tinyModel, waves } from "../training/tiny.ts";

const BATCH = Int32Array.of(0, 1, 2, 3);

const devices = await openTestDevices();
const [reference] = devices;

for (const device of devices) {
  Deno.test(`200 steps fit a batch, and take no more memory than 2 steps, on ${device.name}`, async () => {
    using model = tinyModel(device);
    using optimizer = new Adam(model.namedParameters());
    const dataset = waves();
    const images = await dataset.images("train", BATCH);
    const held: number[] = [], losses: number[] = [];
    for (let step = 0; step < 200; step++) {
      {
        using _step = device.scope();
        const context = { training: true, key: randomKey(7, "quantizer", step) };
        const options = { model, optimizer, variance: dataset.variance, learningRate: 1e-3 };
        const batch = device.tensor(images, [4, 8, 8, 1]);
        const { scalars, usage } = trainingStep(batch, context, options);
        if (step % 50 === 49) {
          losses.push(await scalars.loss.item());
          const counts = await usage.integers();
          assert.equal(counts.reduce((sum, count) => sum + count), 4 * 2 * 2);
        }
      }
      held.push(device.liveBytes);
    }
    assert.equal(held.at(-1), held[1]);
    assert.ok(losses[3] < losses[0], `the loss must fall, got ${losses}`);
  });
}

Deno.test("the loss is mse over the variance plus the quantiser's losses", async () => {
  using _scope = reference.scope();
  const model = tinyModel(reference);
  const images = await waves().images("train", BATCH);
  const batch = reference.tensor(images, [4, 8, 8, 1]);
  const context = { training: true, key: randomKey(7, "quantizer") };
  const { reconstruction, quantized } = model.forward(batch, context);
  const rebuilt = await reconstruction.floats();
  const mse = rebuilt.reduce((sum, value, i) => sum + (value - images[i]) ** 2, 0) / rebuilt.length;
  let quantizerLoss = 0;
  for (const loss of Object.values(quantized.losses)) quantizerLoss += await loss.item();

  const optimizer = new Adam(model.namedParameters());
  const options = { model, optimizer, variance: 0.1, learningRate: 1e-3 };
  const { scalars } = trainingStep(batch, context, options);
  const close = async (name: keyof typeof scalars, expected: number) =>
    assert.ok(Math.abs(await scalars[name].item() / expected - 1) < 1e-5, name);
  await close("mse", mse);
  await close("quantizerLoss", quantizerLoss);
  await close("loss", mse / 0.1 + quantizerLoss);
});

Deno.test("clipping bounds the gradient norm of a step, and without clipping gradients are unchanged", async () => {
  const momentsAfter = async (clipNorm?: number): Promise<number> => {
    using _scope = reference.scope();
    const model = tinyModel(reference);
    const optimizer = new Adam(model.namedParameters());
    const images = await waves().images("train", BATCH);
    const batch = reference.tensor(images, [4, 8, 8, 1]);
    const context = { training: true, key: randomKey(7, "quantizer") };
    const options = { model, optimizer, variance: 1e-3, learningRate: 1e-3, clipNorm };
    trainingStep(batch, context, options);
    let squares = 0;
    for (const moment of optimizer.firstMoments.values()) {
      for (const value of await moment.floats()) squares += (value / 0.1) ** 2;
    }
    return Math.sqrt(squares);
  };
  const free = await momentsAfter();
  assert.ok(free > 1, `${free}`);
  assert.ok(Math.abs(await momentsAfter(0.5) - 0.5) < 1e-4);
  assert.equal(await momentsAfter(2 * free), free);
});

Deno.test("a replaced code starts without gradient and moments, and a re-anchored one keeps them", async () => {
  using _scope = reference.scope();
  const images = reference.tensor(await waves().images("train", BATCH), [4, 8, 8, 1]);
  const context = { training: true, key: randomKey(7, "quantizer") };
  const after = async (quantizer: CodebookQuantizer) => {
    const options = { channels: 1, hidden: 8, residualHidden: 4, key: randomKey(7, "model") };
    const model = new VQVAE(reference, quantizer, options);
    const optimizer = new Adam(model.namedParameters());
    const { features } = model.forward(images, { ...context, training: false });
    const settings = { model, optimizer, variance: 0.1, learningRate: 1e-3 };
    const { scalars, usage } = trainingStep(images, context, settings);
    return {
      scalars,
      features: await features.floats(),
      usage: await usage.integers(),
      moved: await scalars.moved.item(),
      codes: await quantizer.codebook.floats(),
      moments: await optimizer.firstMoments.get("quantizer.codebook")!.floats(),
    };
  };
  const sizes = { codebookSize: 8, codebookDim: 4, key: randomKey(7, "codebook") };
  const replaced = await after(new HardFeaturesQuantizer(reference, { ...sizes, replaceBelow: 5 }));
  const row = (values: Float32Array, at: number) => values.subarray(4 * at, 4 * at + 4);
  let dead = 0;
  replaced.usage.forEach((count, k) => {
    const isFeature = Array.from({ length: 16 }, (_, n) => String(row(replaced.features, n)))
      .includes(String(row(replaced.codes, k)));
    assert.equal(isFeature, count < 5, "a code that was replaced was not stepped");
    assert.equal(row(replaced.moments, k).every((moment) => moment === 0), count < 5);
    if (count < 5) dead++;
  });
  assert.ok(dead > 0 && dead < 8, `${dead} of 8`);
  assert.equal(replaced.moved, dead / 8);
  const { usage, moments, moved } = await after(new ClusteredQuantizer(reference, sizes));
  assert.ok(moved > 0 && moved < 1);
  usage.forEach((count, k) =>
    assert.equal(row(moments, k).every((moment) => moment === 0), count === 0)
  );
  const lengths = Array.from({ length: 16 }, (_, n) => Math.hypot(...row(replaced.features, n)));
  const length = lengths.reduce((sum, value) => sum + value) / 16;
  assert.ok(Math.abs(await replaced.scalars.featureLength.item() / length - 1) < 1e-5);
});
