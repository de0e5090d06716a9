/** A step that computes its batch in parts has the gradients of the whole batch. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { Module } from "../../nn/module.ts";
import type { Optimizer } from "../../nn/optimizers.ts";
import { trainingStep } from "../../objectives/training_step.ts";
import { createQuantizer, QUANTIZER_TYPES, quantizerMethod } from "../../quantizers/registry.ts";
import { openTestDevices } from "../helpers.ts";
import { waves } from "../training/tiny.ts";

const BATCH = 8;

/** Keeps the gradients of a step, and moves nothing. */
class Keeping extends Module implements Optimizer {
  readonly gradients: Promise<Float32Array>[] = [];

  step(gradients: readonly Tensor[]): void {
    this.gradients.push(...gradients.map((gradient) => gradient.floats()));
  }

  forget(): void {}
}

/** What a step in so many parts gives: its scalars and counts, and the gradients by name. */
async function takeStep(device: Device, type: string, parts: number) {
  using _scope = device.scope();
  const wanted = { initialization: "kmeans", codebookSize: 8, codebookDim: 4, scales: [1, 2] };
  const { shape } = quantizerMethod(type).schema;
  const settings = Object.entries(wanted).filter(([name]) => name in shape);
  const inner = type === "product" ? { inner: { type: "vanilla", codebookSize: 4 } } : {};
  const key = randomKey(7, "model");
  const config = { type, ...Object.fromEntries(settings), ...inner };
  const model = new VQVAE(device, createQuantizer(device, config, key), {
    ...{ channels: 1, hidden: 8, residualHidden: 4, key },
  });
  const optimizer = new Keeping();
  const dataset = waves();
  const indices = Int32Array.from({ length: BATCH }, (_, at) => at);
  const images = device.tensor(await dataset.images("train", indices), [BATCH, 8, 8, 1]);
  const context = { training: true, key: randomKey(7, "quantizer") };
  const before = device.liveBytes;
  let read: Promise<readonly (readonly number[])[]>;
  {
    using _step = device.scope();
    const options = { model, optimizer, variance: dataset.variance, learningRate: 1, parts };
    const { scalars, usage } = trainingStep(images, context, options);
    read = Promise.all([
      ...Object.values(scalars).map(async (scalar) => [await scalar.item()]),
      usage.integers().then((counts) => [...counts]),
    ]);
    await Promise.all([read, ...optimizer.gradients]);
  }
  assert.equal(device.liveBytes, before, "a step leaves nothing behind");
  const names = [...model.namedParameters().keys()];
  const values = await Promise.all(optimizer.gradients);
  return {
    told: (await read).flat(),
    gradients: new Map(names.map((name, at) => [name, values[at]])),
  };
}

for (const device of await openTestDevices()) {
  for (const type of QUANTIZER_TYPES) {
    Deno.test(`${type}: 2 or 4 parts give the gradients of the whole batch (${device.name})`, async () => {
      const whole = await takeStep(device, type, 1);
      for (const parts of [2, 4]) {
        const { told, gradients } = await takeStep(device, type, parts);
        told.forEach((value, at) => {
          const expected = whole.told[at];
          assert.ok(
            Math.abs(value - expected) <= 1e-5 * (1 + Math.abs(expected)),
            `number ${at}: ${value} in ${parts} parts, ${expected} at once`,
          );
        });
        for (const [name, expected] of whole.gradients) {
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          gradients.get(name)!.forEach((value, at) => {
            const apart = Math.abs(value - expected[at]);
            assert.ok(apart <= 1e-4 * largest + 1e-7, `${name}: ${value}, ${expected[at]} at once`);
          });
        }
      }
    });
  }
}
