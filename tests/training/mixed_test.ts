/** Training in mixed precision stays on the float32 curve. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { Adam } from "../../nn/optimizers.ts";
import { trainingStep } from "../../objectives/training_step.ts";
import { openRoundedReference, testMixed } from "../mixed.ts";
import { tinyModel, waves } from "./tiny.ts";

const STEPS = 100;

/** The losses of the tiny model's first steps, batch after batch. */
async function curve(device: Device): Promise<number[]> {
  using model = tinyModel(device, 7, "closest");
  using optimizer = new Adam(model.namedParameters());
  const dataset = waves();
  const losses: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    using _step = device.scope();
    const indices = Int32Array.from({ length: 8 }, (_, at) => (step * 8 + at) % 24);
    const batch = device.tensor(await dataset.images("train", indices), [8, 8, 8, 1]);
    const context = { training: true, key: randomKey(7, "quantizer", step) };
    const options = { model, optimizer, variance: dataset.variance, learningRate: 1e-3 };
    losses.push(await trainingStep(batch, context, options).scalars.loss.item());
  }
  return losses;
}

/** Until the codes begin to move about, and afterwards, when a feature between two codes may go to the other. */
const STILL = { steps: 60, tolerance: 2e-4 };
const MOVING = { steps: STEPS, tolerance: 3e-2 };

async function assertOnCurve(device: Device): Promise<void> {
  using reference = await openDevice("reference");
  const expected = await curve(reference);
  const losses = await curve(device);
  assert.notDeepEqual(losses, expected);
  for (const { steps, tolerance } of [STILL, MOVING]) {
    for (let step = 0; step < steps; step++) {
      const off = Math.abs(losses[step] / expected[step] - 1);
      assert.ok(
        off <= tolerance,
        `the loss of step ${step} is off by ${off}, ${tolerance} allowed`,
      );
    }
  }
}

Deno.test("training with operands rounded to float16 stays on the float32 curve", async () => {
  using device = openRoundedReference();
  await assertOnCurve(device);
});

testMixed("training in mixed precision stays on the float32 curve", async () => {
  using device = await openDevice("webgpu", { precision: "mixed" });
  await assertOnCurve(device);
});
