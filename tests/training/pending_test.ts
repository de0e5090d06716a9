import assert from "node:assert/strict";
import { parameter } from "../../core/execute.ts";
import { full } from "../../core/functions/creation.ts";
import { mul } from "../../core/functions/elementwise.ts";
import type { Device } from "../../core/tensor.ts";
import { PendingScalars } from "../../training/pending.ts";
import { openTestDevices } from "../helpers.ts";

/** Adds the scalars of a step that was differentiable. */
function addStep(pending: PendingScalars, device: Device, step: number): void {
  using scope = device.scope();
  const scalar = (value: number) => mul(parameter(full(device, [], value)), 2);
  const scalars = {
    loss: scalar(step),
    mse: scalar(step + 0.25),
    quantizerLoss: scalar(step + 0.5),
    featureLength: scalar(1),
    moved: scalar(0.5),
  };
  pending.add({ scalars, usage: full(device, [1], 0, "int32") }, scope);
}

for (const device of await openTestDevices()) {
  Deno.test(`scalars of several steps are read together, in order, on ${device.name}`, async () => {
    const before = device.liveBytes;
    const pending = new PendingScalars();
    assert.deepEqual(await pending.take(), []);
    for (let step = 0; step < 20; step++) addStep(pending, device, step);
    assert.equal(pending.length, 20);
    const expected = Array.from({ length: 20 }, (_, step) => ({
      loss: 2 * step,
      mse: 2 * step + 0.5,
      quantizerLoss: 2 * step + 1,
      featureLength: 2,
      moved: 1,
    }));
    assert.deepEqual(await pending.take(), expected);
    assert.equal(pending.length, 0);
    assert.equal(device.liveBytes, before);
  });

  Deno.test(`scalars that were never read are let go, on ${device.name}`, () => {
    const before = device.liveBytes;
    {
      using pending = new PendingScalars();
      addStep(pending, device, 1);
      assert.ok(device.liveBytes > before);
    }
    assert.equal(device.liveBytes, before);
  });
}
