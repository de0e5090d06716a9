/** Noise schedules and what predictions mean, against PyTorch. */
import assert from "node:assert/strict";
import {
  addNoise,
  denoise,
  type Prediction,
  predictionTarget,
} from "../../../objectives/diffusion/prediction.ts";
import { NoiseSchedule, type ScheduleName } from "../../../objectives/diffusion/schedule.ts";
import fixture from "../../fixtures/diffusion/diffusion.json" with { type: "json" };
import { testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";

const devices = await openTestDevices();

for (const [type, { times, betas, products }] of Object.entries(fixture.schedules)) {
  Deno.test(`${type}: βs and their products agree with PyTorch in float64`, () => {
    const schedule = new NoiseSchedule({ type: type as ScheduleName, times: 1000 });
    times.forEach((time, index) => {
      const { alpha, sigma } = schedule.level(time);
      const near = (got: number, expected: number) =>
        assert.ok(Math.abs(got - expected) <= 1e-11 * expected, `${time}: ${got}, ${expected}`);
      near(schedule.betas[time], betas[index]);
      near(alpha ** 2, products[index]);
      assert.ok(Math.abs(alpha ** 2 + sigma ** 2 - 1) < 1e-15);
    });
  });
}

Deno.test("the ends of a schedule can be set", () => {
  const churches = new NoiseSchedule({ type: "sqrt-linear", times: 1000, last: 0.0155 });
  assert.ok(Math.abs(churches.betas[0] - 0.0015) < 1e-15);
  assert.ok(Math.abs(churches.betas[999] - 0.0155) < 1e-15);
});

Deno.test("sampling times start at the last time, decrease, and have the requested number", () => {
  const schedule = new NoiseSchedule({ type: "linear", times: 1000 });
  for (const steps of [1, 2, 7, 10, 50, 333, 999, 1000]) {
    const walk = schedule.walk(steps);
    assert.equal(walk.length, steps);
    assert.equal(walk[0], 999);
    walk.forEach((time, step) => assert.ok(time >= 0 && (step === 0 || time < walk[step - 1])));
  }
  assert.deepEqual(schedule.walk(1000), Array.from({ length: 1000 }, (_, step) => 999 - step));
});

Deno.test("invalid schedules and numbers of steps are rejected", () => {
  const schedule = new NoiseSchedule({ type: "linear", times: 100 });
  for (const steps of [0, -1, 1.5, 101, NaN]) {
    assert.throws(() => schedule.walk(steps), {
      name: "RangeError",
      message: "Cannot sample: the steps must be a whole number from 1 to 100, the times of the " +
        `diffusion, got ${steps}`,
    });
  }
  const refused = (requirement: string) => ({
    name: "RangeError",
    message: `Cannot make a noise schedule: ${requirement}`,
  });
  assert.throws(
    () => new NoiseSchedule({ type: "linear", times: 0 }),
    refused("the times must be a positive integer, got 0"),
  );
  assert.throws(
    () => new NoiseSchedule({ type: "linear", times: 10, last: 1 }),
    refused("the first and the last β must lie in (0, 1), got 1"),
  );
  assert.throws(
    () => new NoiseSchedule({ type: "cosine", times: 10, last: 0.5 }),
    refused("the cosine must have no first and last β, got 0.5"),
  );
});

testOnEach(
  devices,
  "every prediction's target denoises to the same image and noise",
  async (device) => {
    const { x0, noise, predictions: { time, x, v } } = fixture;
    const tensor = (values: number[]) => device.tensor(values, [values.length]);
    const parts = { original: tensor(x0), noise: tensor(noise) };
    const level = new NoiseSchedule({ type: "linear", times: 1000 }).level(time);
    const noisy = addNoise(parts, level);
    assertClose(await noisy.floats(), x, 1e-6, "x");
    const targets = { epsilon: noise, x0, v };
    for (const [prediction, expected] of Object.entries(targets) as [Prediction, number[]][]) {
      const target = predictionTarget(prediction, parts, level);
      assertClose(await target.floats(), expected, 1e-6, `the target of ${prediction}`);
      const seen = denoise(prediction, target, noisy, level);
      assertClose(await seen.original.floats(), x0, 1e-5, `the image by ${prediction}`);
      assertClose(await seen.noise.floats(), noise, 1e-5, `the noise by ${prediction}`);
    }
  },
);

testOnEach(devices, "each image can have its own noise level", async (device) => {
  const tensor = (values: number[], shape: number[]) => device.tensor(values, shape);
  const parts = { original: tensor([1, 2, 3, 4], [2, 2]), noise: tensor([1, 1, 1, 1], [2, 2]) };
  const strength = { alpha: tensor([1, 0.6], [2, 1]), sigma: tensor([0, 0.8], [2, 1]) };
  const near = async (got: Promise<Float32Array>, expected: number[]) =>
    assertClose(await got, expected, 1e-6, "values");
  await near(addNoise(parts, strength).floats(), [1, 2, 2.6, 3.2]);
  await near(predictionTarget("v", parts, strength).floats(), [1, 1, 0.6 - 2.4, 0.6 - 3.2]);
});
