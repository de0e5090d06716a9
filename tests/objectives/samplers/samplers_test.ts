/** Samplers: a step as PyTorch computes it, and what they draw where the best prediction is known. */
import assert from "node:assert/strict";
import { add, mul } from "../../../core/functions/elementwise.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device, Tensor } from "../../../core/tensor.ts";
import type { Prediction } from "../../../objectives/diffusion/prediction.ts";
import { type NoiseLevel, NoiseSchedule } from "../../../objectives/diffusion/schedule.ts";
import { DdimSampler } from "../../../objectives/samplers/ddim.ts";
import { DdpmSampler } from "../../../objectives/samplers/ddpm.ts";
import { DpmSolverSampler } from "../../../objectives/samplers/dpm_solver.ts";
import { guide } from "../../../objectives/samplers/guidance.ts";
import { sampleNoise } from "../../../objectives/samplers/noise.ts";
import { createSampler, SAMPLER_SETTINGS } from "../../../objectives/samplers/registry.ts";
import { sample, type SampleOptions } from "../../../objectives/samplers/sample.ts";
import type { Sampler } from "../../../objectives/samplers/sampler.ts";
import fixture from "../../fixtures/diffusion/diffusion.json" with { type: "json" };
import { testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";

const devices = await openTestDevices();
const [reference, cpu = reference] = devices;

const schedule = new NoiseSchedule({ type: "linear", times: 1000 });

const EVERY: Readonly<Record<string, Sampler>> = {
  "ddpm-large": new DdpmSampler("large"),
  "ddpm-small": new DdpmSampler("small"),
  "ddim-0": new DdimSampler(0),
  "ddim-0.5": new DdimSampler(0.5),
  "ddim-1": new DdimSampler(1),
  "dpm-solver": new DpmSolverSampler(),
};

testOnEach(devices, "one step of every sampler agrees with PyTorch", async (device) => {
  const tensor = (values: readonly number[]) => device.tensor(values, [values.length]);
  const denoised = { original: tensor(fixture.x0), noise: tensor(fixture.noise) };
  for (const { from, to, beforeFrom, x, ...expected } of fixture.steps) {
    const step = {
      x: tensor(x),
      denoised,
      from: schedule.level(from),
      to: schedule.level(to),
      random: () => tensor(fixture.random),
    };
    const before = { from: schedule.level(beforeFrom), original: tensor(fixture.before) };
    const {
      "dpm-solver-first": first,
      "dpm-solver-second": second,
      ...others
    } = expected as Readonly<Record<string, number[]>>;
    for (const [name, values] of Object.entries(others)) {
      assertClose(await EVERY[name].step(step).floats(), values, 1e-5, `${name}, from ${from}`);
    }
    const solver = EVERY["dpm-solver"];
    assertClose(await solver.step(step).floats(), first, 1e-5, `the first step, from ${from}`);
    const next = solver.step({ ...step, before });
    assertClose(await next.floats(), second, 1e-5, `a later step, from ${from}`);
  }
});

testOnEach(
  devices,
  "the last step of every sampler gives the predicted image",
  async (device) => {
    const from = schedule.level(30), to = schedule.level(-1);
    const original = device.tensor([1, -0.5], [2]), noise = device.tensor([0.3, 2], [2]);
    const x = add(mul(original, from.alpha), mul(noise, from.sigma));
    const before = { from: schedule.level(60), original: x };
    const random = () => {
      throw new Error("no noise is added at the last step");
    };
    for (const [name, sampler] of Object.entries(EVERY)) {
      const last = sampler.step({ x, denoised: { original, noise }, from, to, before, random });
      assertClose(await last.floats(), [1, -0.5], 1e-6, name);
    }
  },
);

/** The mean and the deviation of normal data. */
const MEAN = 0.7, DEVIATION = 0.8;

/** By how much the best guess of x₀ moves with x: E[x₀ | x] = MEAN + gain·(x − α·MEAN). */
function gainOf({ alpha, sigma }: NoiseLevel): number {
  return alpha * DEVIATION ** 2 / ((alpha * DEVIATION) ** 2 + sigma ** 2);
}

/** The best prediction there is for normal data, from which the exact score follows. */
function exact(prediction: Prediction): (x: Tensor, time: number) => Tensor {
  return (x, time) => {
    const level = schedule.level(time), { alpha, sigma } = level, gain = gainOf(level);
    // Of x0: gain·x + rest; ε and v are linear in it.
    const rest = MEAN * (1 - gain * alpha);
    switch (prediction) {
      case "x0":
        return add(mul(x, gain), rest);
      case "epsilon":
        return add(mul(x, (1 - alpha * gain) / sigma), -alpha * rest / sigma);
      case "v":
        return add(mul(x, (alpha - gain) / sigma), -rest / sigma);
    }
  };
}

/** The mean and deviation that a sampler's formula gives with the exact score, in float64 and without drawing anything:
 * every step is linear in the numbers drawn before, so only the weight of each is followed. */
function lawOf(name: string, steps: number): { mean: number; deviation: number } {
  const times = schedule.walk(steps);
  let constant = 0, drawn = [1]; // x = constant + Σ drawn·z
  let before: { lambda: number; constant: number; drawn: number[] } | undefined;
  times.forEach((time, step) => {
    const level = schedule.level(time), { alpha, sigma } = level, gain = gainOf(level);
    const to = schedule.level(times[step + 1] ?? -1);
    const imageConstant = MEAN + gain * (constant - alpha * MEAN);
    const image = drawn.map((weight) => gain * weight);
    const noiseConstant = (constant - alpha * imageConstant) / sigma;
    const noise = drawn.map((weight, index) => (weight - alpha * image[index]) / sigma);
    const eta = name === "ddpm-small" ? 1 : Number(name.replace("ddim-", ""));
    if (name === "dpm-solver") {
      const lambda = Math.log(alpha / sigma), h = Math.log(to.alpha / to.sigma) - lambda;
      const share = before === undefined || to.sigma === 0 ? 0 : h / (2 * (lambda - before.lambda));
      const towards = (now: number, then = 0) => (1 + share) * now - share * then;
      const decay = to.sigma / sigma, pull = to.alpha * (1 - Math.exp(-h));
      constant = decay * constant + pull * towards(imageConstant, before?.constant);
      const held = before;
      drawn = drawn.map((weight, i) => decay * weight + pull * towards(image[i], held?.drawn[i]));
      before = { lambda, constant: imageConstant, drawn: image };
      return;
    }
    const spread = 1 - (alpha / to.alpha) ** 2;
    const fresh = to.sigma === 0
      ? 0
      : name === "ddpm-large"
      ? Math.sqrt(spread)
      : eta * to.sigma / sigma * Math.sqrt(spread);
    // DDPM's mean is DDIM's with η = 1, whatever the variance of its noise.
    const carried = name === "ddpm-large" ? to.sigma / sigma * Math.sqrt(spread) : fresh;
    const old = Math.sqrt(Math.max(0, to.sigma ** 2 - carried ** 2));
    constant = to.alpha * imageConstant + old * noiseConstant;
    drawn = [...drawn.map((_, i) => to.alpha * image[i] + old * noise[i]), fresh];
    // Without a memory of earlier steps, what was drawn counts by its deviation alone.
    drawn = [Math.hypot(...drawn)];
  });
  return { mean: constant, deviation: Math.hypot(...drawn) };
}

const COUNT = 64, SIZE = 128;

async function drawNormal(device: Device, name: string, steps: number, prediction: Prediction) {
  const options: SampleOptions = {
    ...{ first: 0, count: COUNT, shape: [SIZE], key: randomKey(15, `normal ${name}`), steps },
    ...{ schedule, prediction, predict: exact(prediction), sampler: EVERY[name] },
  };
  const values = await (await sample(device, options)).floats();
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const deviation = Math.sqrt(
    values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length,
  );
  return { mean, deviation };
}

/** How far a formula itself, without any sampling error, is from the data's deviation at 10, 50 and 1,000 steps: the price
 * of few steps, not of the code. */
const BIAS: Readonly<Record<string, readonly [number, number, number]>> = {
  "ddpm-large": [0.06, 0.02, 0.002],
  "ddpm-small": [0.3, 0.1, 0.01],
  "ddim-0": [0.25, 0.06, 0.005],
  "ddim-0.5": [0.25, 0.06, 0.005],
  "ddim-1": [0.3, 0.1, 0.01],
  "dpm-solver": [0.12, 0.01, 0.002],
};

for (const name of Object.keys(EVERY)) {
  for (const [index, steps] of [10, 50, 1000].entries()) {
    const prediction = (["x0", "v", "epsilon"] as const)[index];
    Deno.test(`${name}, ${steps} steps, exact ${prediction}: samples have the data's mean and deviation`, async () => {
      using _scope = cpu.scope();
      const { mean, deviation } = await drawNormal(cpu, name, steps, prediction);
      const law = lawOf(name, steps);
      // Four standard errors of the mean and of the deviation of 8,192 numbers.
      const error = 4 * law.deviation / Math.sqrt(COUNT * SIZE);
      assert.ok(Math.abs(mean - law.mean) < error, `mean ${mean}, by the formula ${law.mean}`);
      assert.ok(
        Math.abs(deviation - law.deviation) < error / Math.SQRT2,
        `deviation ${deviation}, by the formula ${law.deviation}`,
      );
      assert.ok(Math.abs(law.mean - MEAN) < 0.01 * DEVIATION, `mean of the formula ${law.mean}`);
      const bias = Math.abs(law.deviation / DEVIATION - 1);
      assert.ok(bias < BIAS[name][index], `the formula's deviation is off by ${bias}`);
      if (steps !== 1000) return;
      assert.ok(Math.abs(mean - MEAN) < error + 0.01 * DEVIATION, `mean ${mean}`);
      assert.ok(Math.abs(deviation - DEVIATION) < error, `deviation ${deviation}`);
    });
  }
}

testOnEach(
  devices,
  "all devices draw the same samples, and a sample does not depend on the others",
  async (device) => {
    for (const name of ["ddpm-small", "ddim-1", "dpm-solver"]) {
      const draw = async (device: Device, first: number, count: number) => {
        const options = { first, count, shape: [5], key: randomKey(7, "batches"), steps: 6 };
        return await (await sample(device, {
          ...options,
          ...{ schedule, prediction: "v", predict: exact("v"), sampler: EVERY[name] },
        })).floats();
      };
      using _scope = reference.scope();
      const all = await draw(device, 0, 4);
      assertClose(all, await draw(reference, 0, 4), 1e-5, name);
      assert.deepEqual(await draw(device, 1, 2), all.slice(5, 15), name);
      assert.deepEqual(await draw(device, 3, 1), all.slice(15), name);
    }
  },
);

Deno.test("noise differs for every key, sample and step", async () => {
  using _scope = reference.scope();
  const one = (first: number, key: string, step: number, at = 0) =>
    sampleNoise(reference, { first, count: 1 }, [4], randomKey(1, key, at), step).floats();
  const all = await Promise.all([
    one(0, "a", 0),
    one(1, "a", 0),
    one(0, "b", 0),
    one(0, "a", 1),
    one(0, "a", 0, 1),
  ]);
  assert.equal(new Set(all.map(String)).size, all.length);
});

Deno.test("sampling reports each step, leaks no memory, and clips the predicted image if requested", async () => {
  const before = reference.liveBytes;
  const seen: number[] = [];
  {
    using _scope = reference.scope();
    const drawn = await sample(reference, {
      ...{ first: 0, count: 2, shape: [3], key: randomKey(1, "clip"), steps: 4, schedule },
      prediction: "x0",
      predict: (x) => add(mul(x, 0), 5),
      sampler: EVERY["ddim-0"],
      clip: true,
      onStep: async (taken, original) => {
        seen.push(taken, (await original.floats())[0]);
      },
    });
    assert.deepEqual([...await drawn.floats()], [1, 1, 1, 1, 1, 1]);
  }
  assert.deepEqual(seen, [1, 1, 2, 1, 3, 1, 4, 1]);
  assert.equal(reference.liveBytes, before);
});

Deno.test("guidance extrapolates from the prediction without class through that with class", async () => {
  using _scope = reference.scope();
  const x = reference.tensor([1], [1]);
  const of = (factor: number) => (x: Tensor, time: number) => mul(x, factor * time);
  const by = (scale: number) => guide(of(3), of(1), scale)(x, 2).item();
  assert.deepEqual([await by(0), await by(1), await by(2), await by(0.5)], [2, 6, 10, 4]);
});

Deno.test("samplers are created by name, and unsupported options are rejected", () => {
  const settings = SAMPLER_SETTINGS.parse({});
  assert.ok(createSampler(settings) instanceof DdimSampler);
  assert.ok(createSampler({ ...settings, sampler: "ddpm" }) instanceof DdpmSampler);
  assert.ok(createSampler({ ...settings, sampler: "dpm-solver" }) instanceof DpmSolverSampler);
  assert.throws(() => new DdimSampler(1.5), {
    name: "RangeError",
    message: "Cannot sample by DDIM: eta must be in [0, 1], got 1.5",
  });
});
