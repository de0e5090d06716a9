import assert from "node:assert/strict";
import { parameter } from "../../core/execute.ts";
import { full } from "../../core/functions/creation.ts";
import { mul } from "../../core/functions/elementwise.ts";
import type { Device } from "../../core/tensor.ts";
import { DivergedError } from "../../training/diverged.ts";
import { addScalars, meansOf, noSums, ScalarBuffer } from "../../training/scalars.ts";
import { openTestDevices } from "../helpers.ts";

const NAMES = ["loss", "mse"];

/** Adds the scalars of a step that was differentiable. */
function addStep(buffer: ScalarBuffer, device: Device, step: number): void {
  using scope = device.scope();
  const scalar = (value: number) => mul(parameter(full(device, [], value)), 2);
  buffer.add({ mse: scalar(step + 0.25), loss: scalar(step) }, scope);
}

for (const device of await openTestDevices()) {
  Deno.test(`scalars of several steps are read together, in order, on ${device.name}`, async () => {
    const before = device.liveBytes;
    const buffer = new ScalarBuffer(NAMES);
    assert.deepEqual(await buffer.take(), []);
    for (let step = 0; step < 20; step++) addStep(buffer, device, step);
    assert.equal(buffer.length, 20);
    const expected = Array.from(
      { length: 20 },
      (_, step) => ({ loss: 2 * step, mse: 2 * step + 0.5 }),
    );
    assert.deepEqual(await buffer.take(), expected);
    assert.equal(buffer.length, 0);
    assert.equal(device.liveBytes, before);
  });

  Deno.test(`scalars that were never read are freed, on ${device.name}`, () => {
    const before = device.liveBytes;
    {
      using buffer = new ScalarBuffer(NAMES);
      addStep(buffer, device, 1);
      assert.ok(device.liveBytes > before);
    }
    assert.equal(device.liveBytes, before);
  });
}

Deno.test("an epoch's means are its sums divided by its steps, and each epoch has its own sums", () => {
  const sums = noSums(NAMES);
  addScalars(sums, { loss: 2, mse: 1 });
  addScalars(sums, { loss: 4, mse: 2 });
  assert.deepEqual(meansOf(sums), { loss: 3, mse: 1.5 });
  assert.deepEqual(noSums(NAMES), { steps: 0, sums: { loss: 0, mse: 0 } });
});

Deno.test("an error for a diverged run gives the step, the non-finite value and the last checkpoint", () => {
  const { name, message } = new DivergedError(70, "mse", NaN, "runs/x/last.safetensors");
  assert.equal(name, "DivergedError");
  assert.match(message, /got mse NaN at step 70; the last good checkpoint is runs\/x\/last/);
});
