/** The objective of diffusion: its step, what it measures, what it makes, and what it refuses. */
import assert from "node:assert/strict";
import { normal } from "../../core/functions/creation.ts";
import { concatenate } from "../../core/functions/movement.ts";
import { philox, randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Replicas, SINGLE } from "../../nn/replicas.ts";
import { CachedEncodings } from "../../objectives/cached_encodings.ts";
import type { Prediction } from "../../objectives/diffusion/prediction.ts";
import { NoiseSchedule } from "../../objectives/diffusion/schedule.ts";
import type { DiffusionObjective } from "../../objectives/diffusion.ts";
import { readPng } from "../../data/formats/png.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { AFTER_STEPS, assertClose } from "../tolerances.ts";
import { waves } from "../training/tiny.ts";
import { classedWaves, SAMPLING, tinyDiffusion, tinyFirstStage } from "./tiny_diffusion.ts";

const devices = await openTestDevices();
const [reference] = devices;

const key = randomKey(3, "diffusion");
const context = (step: number) => ({ training: true, key: { ...key, step }, step });

/** The first images, as a batch. */
async function batchOf(device: Device, count: number) {
  const indices = Int32Array.from({ length: count }, (_, index) => index);
  const dataset = classedWaves();
  return {
    images: device.tensor(await dataset.images("train", indices), [count, 8, 8, 1]),
    labels: device.tensor(dataset.labels!.train.slice(0, count), [count]),
    indices,
  };
}

const square = (values: Float32Array) =>
  values.reduce((sum, value) => sum + value ** 2, 0) / values.length;

testOnEach(
  devices,
  "if the network predicts zero, the loss is the mean square of the target",
  async (device) => {
    const schedule = new NoiseSchedule({ type: "linear", times: 50 });
    const stage1 = tinyFirstStage(device);
    const batch = await batchOf(device, 4), own = context(2);
    for (const prediction of ["epsilon", "x0", "v"] as Prediction[]) {
      const objective = tinyDiffusion(device, { stage1, schedule, prediction });
      await objective.prepare(device);
      const latents = objective.model.latents!.encode(stage1.features(batch.images));
      const x0 = await latents.floats();
      const noise = await normal(device, latents.shape, partKey(own.key, 2)).floats();
      const words = new Uint32Array(4);
      const v = noise.map((value, at) => {
        philox(partKey(own.key, 1), Math.floor(at / 16), 0, words);
        const { alpha, sigma } = schedule.level(Math.floor(words[0] / 2 ** 32 * 50));
        return alpha * value - sigma * x0[at];
      });
      const { loss } = objective.step(batch, own);
      const expected = square({ epsilon: noise, x0, v }[prediction]);
      assertClose([await loss.item()], [expected], 1e-5, prediction);
    }
  },
);

testOnEach(
  devices,
  "a few steps lead to the same weights on every device",
  async (device) => {
    const run = async (device: Device) => {
      using _scope = device.scope();
      const network = { classes: 2, dropout: 0.1 };
      const options = { stage1: tinyFirstStage(device), dataset: classedWaves(), dropClass: 0.3 };
      const objective = tinyDiffusion(device, { ...options, network });
      await objective.prepare(device);
      const batch = await batchOf(device, 4);
      for (let step = 0; step < 3; step++) objective.step(batch, context(step));
      return (await objective.model.stateDictionary()).get("denoiser.output.weight")!.values;
    };
    assertClose(await run(device), await run(reference), AFTER_STEPS, "the last filter");
  },
);

testOnEach(devices, "training lowers the loss", async (device) => {
  const objective = tinyDiffusion(device, { stage1: tinyFirstStage(device) });
  await objective.prepare(device);
  const batches = () => evaluationBatches(waves(), { split: "test", batchSize: 6 });
  const loss = async () => (await objective.evaluate("test", batches())).numbers.loss as number;
  const before = await loss();
  const batch = await batchOf(device, 26);
  for (let step = 0; step < 40; step++) {
    using _scope = device.scope();
    objective.step(batch, context(step));
  }
  const after = await loss();
  assert.ok(after < 0.8 * before, `${before} → ${after}`);
});

testOnEach(
  devices,
  "cached features are those of the images or their mirror images",
  async (device) => {
    const stage1 = tinyFirstStage(device);
    const batch = await batchOf(device, 8);
    const plain = await stage1.features(batch.images).floats();
    const mirrored = (await batch.images.floats()).map((_, at, all) =>
      all[at - at % 8 + 7 - at % 8]
    );
    const flipped = await stage1.features(device.tensor(mirrored, [8, 8, 8, 1])).floats();
    const encode = (images: Tensor) => stage1.features(images);
    const options = { stage1, dataset: waves(), encode };
    using kept = await CachedEncodings.open(device, { ...options, cache: "images" });
    assertClose(await kept.read(device, batch.indices, key).floats(), plain, 1e-6, "as they are");
    let encoded = 0;
    const twice: Replicas = { ...SINGLE, count: 2, gather: (x) => concatenate([x, x]) };
    const counted = (images: Tensor) => {
      encoded += images.shape[0];
      return encode(images);
    };
    using shared = await CachedEncodings.open(device, {
      ...{ stage1, dataset: waves(), encode: counted, cache: "images", replicas: twice },
    });
    assert.equal(encoded, Math.ceil(waves().sizes.train / 2), "each of two processes has a half");
    const own = batch.indices.map((index) => index % encoded);
    assert.deepEqual(
      await shared.read(device, batch.indices, key).floats(),
      await shared.read(device, own, key).floats(),
    );
    using both = await CachedEncodings.open(device, { ...options, cache: "flips" });
    const read = await both.read(device, batch.indices, key).floats();
    let turned = 0;
    for (let image = 0; image < 8; image++) {
      const of = (values: Float32Array) => values.slice(image * 16, image * 16 + 16);
      const isClose = (a: Float32Array, b: Float32Array) =>
        a.every((v, i) => Math.abs(v - b[i]) < 1e-5);
      assert.ok(isClose(of(read), of(plain)) || isClose(of(read), of(flipped)), `image ${image}`);
      if (!isClose(of(read), of(plain))) turned++;
    }
    assert.ok(turned > 0 && turned < 8, `${turned} of 8`);
  },
);

testOnEach(devices, "a step is the same with and without cached features", async (device) => {
  const losses = [];
  for (const cache of ["none", "images"] as const) {
    const objective = tinyDiffusion(device, { stage1: tinyFirstStage(device), cache });
    await objective.prepare(device);
    losses.push(await objective.step(await batchOf(device, 5), context(0)).loss.item());
  }
  assert.ok(Math.abs(losses[0] / losses[1] - 1) < 1e-6, `${losses}`);
});

Deno.test("the test loss depends on neither batch size nor key, and its protocol depends on the prediction", async () => {
  using _scope = reference.scope();
  const objective = tinyDiffusion(reference, { stage1: tinyFirstStage(reference) });
  await objective.prepare(reference);
  objective.step(await batchOf(reference, 4), context(0));
  const measure = (batchSize: number, own: DiffusionObjective = objective) =>
    own.evaluate("test", evaluationBatches(waves(), { split: "test", batchSize }));
  const [all, few] = [await measure(6), await measure(4)];
  assertClose([few.numbers.loss as number], [all.numbers.loss as number], 1e-6, "the loss");
  assert.equal(all.numbers.images, 6);
  assert.deepEqual([all.rankBy, all.better], ["loss", "lower"]);
  assert.equal(few.protocol, all.protocol);
  const other = await measure(6, tinyDiffusion(reference, { prediction: "epsilon" }));
  assert.notEqual(other.protocol, all.protocol);
  await assert.rejects(
    objective.evaluate("test", (async function* () {})()),
    { name: "RangeError", message: "Cannot evaluate: at least one batch is needed, got none" },
  );
});

Deno.test("if all classes are dropped, the network gets no class", async () => {
  using _scope = reference.scope();
  const dataset = classedWaves(), network = { classes: 2 };
  const changed = async (dropClass: number) => {
    using _own = reference.scope();
    const objective = tinyDiffusion(reference, { dataset, network, dropClass });
    const weight = () =>
      (objective.model.denoiser as unknown as {
        classEmbedding: { weight: { floats(): Promise<Float32Array> } };
      }).classEmbedding.weight.floats();
    const before = await weight();
    // The output starts at zero: what lies before it learns from the second step on.
    for (let step = 0; step < 3; step++) objective.step(await batchOf(reference, 4), context(step));
    const after = await weight();
    return [0, 1, 2].map((row) => {
      const part = (values: Float32Array) => String(values.slice(row * 32, row * 32 + 32));
      return part(before) !== part(after);
    });
  };
  assert.deepEqual(await changed(0), [true, true, false], "never dropped");
  assert.deepEqual(await changed(0.999), [false, false, true], "always dropped");
});

testOnEach(
  devices,
  "a sample does not depend on the other samples, and is decoded from its codes",
  async (device) => {
    const stage1 = tinyFirstStage(device);
    const network = { classes: 2 };
    const objective = tinyDiffusion(device, {
      stage1,
      network,
      dataset: classedWaves(),
      dropClass: 0.1,
    });
    await objective.prepare(device);
    for (let step = 0; step < 2; step++) objective.step(await batchOf(device, 4), context(step));
    for (const sampler of ["ddim", "ddpm", "dpm-solver"]) {
      const settings = { ...SAMPLING, sampler, eta: 0.5, guidance: 2 };
      const heard: number[] = [];
      const onProgress = (done: number, total: number) => heard.push(done / total);
      const make = (count: number, batchSize: number) =>
        objective.generate(device, { count, key, settings, batchSize, onProgress });
      const all = await make(5, 5);
      assert.equal(heard.at(-1), 1);
      assert.ok(heard.every((value, at) => at === 0 || value > heard[at - 1]));
      const few = await make(3, 2);
      assert.deepEqual([all.images.length, all.codes!.length], [5 * 64, 5 * 4]);
      assert.deepEqual(all.codeShape, [2, 2]);
      assert.deepEqual(few.codes, all.codes!.slice(0, 12), sampler);
      assertClose(few.images, all.images.slice(0, 3 * 64), 1e-5, sampler);
      const decoded = stage1.decode(device.tensor(all.codes!, [5, 2, 2]));
      assert.deepEqual(await decoded.floats(), all.images);
      const other = await objective.generate(device, {
        count: 5,
        key: randomKey(4, "x"),
        settings,
      });
      assert.notDeepEqual(other.images, all.images);
    }
  },
);

testOnEach(
  devices,
  "in pixels, images are clipped, and class and guidance change them",
  async (device) => {
    const network = { classes: 2 };
    const options = { network, dataset: classedWaves(), dropClass: 0.1, prediction: "x0" } as const;
    const objective = tinyDiffusion(device, options);
    for (let step = 0; step < 3; step++) objective.step(await batchOf(device, 4), context(step));
    const make = async (label: number, guidance: number) => {
      const settings = { ...SAMPLING, guidance };
      const labels = Int32Array.of(label);
      return (await objective.generate(device, { count: 1, key, labels, settings })).images;
    };
    const [even, odd, guided] = [await make(0, 1), await make(1, 1), await make(0, 50)];
    assert.notDeepEqual(even, odd);
    assert.notDeepEqual(even, guided);
    assert.ok([...even, ...guided].every((value) => Math.abs(value) <= 1));
  },
);

Deno.test("samples are one picture of sixteen images", async () => {
  using _scope = reference.scope();
  const objective = tinyDiffusion(reference, { dataset: classedWaves(), network: { classes: 2 } });
  const png = await objective.samples(reference, { training: false, key });
  const side = 12 * 8 + 4;
  const { data } = readPng(png, 8 * side + 4, 2 * side + 4, "samples");
  assert.ok(new Set(data).size > 10);
});

Deno.test("invalid requests are rejected", async () => {
  using _scope = reference.scope();
  const plain = tinyDiffusion(reference);
  const told = tinyDiffusion(reference, { dataset: classedWaves(), network: { classes: 2 } });
  const refuses = async (
    objective: DiffusionObjective,
    request: { readonly labels?: Int32Array; readonly settings?: object },
    message: string,
  ) => {
    const whole = { count: 1, key, ...request, settings: { ...SAMPLING, ...request.settings } };
    await assert.rejects(objective.generate(reference, whole), { name: "RangeError", message });
  };
  const steps =
    "Cannot sample: the steps must be a whole number from 1 to 20, the times of the diffusion";
  await refuses(
    plain,
    { settings: { steps: 0 } },
    "Cannot sample: steps must be an integer of at least 1, got 0",
  );
  await refuses(plain, { settings: { steps: 21 } }, `${steps}, got 21`);
  await refuses(
    plain,
    { settings: { guidance: 2 } },
    "Cannot guide: guidance must be 1 with a model that was trained without classes, got 2",
  );
  await refuses(
    told,
    { settings: { guidance: 0 } },
    "Cannot guide: guidance must be 1 with a model that was trained without dropping classes " +
      "(objective.dropClass 0), got 0",
  );
  await refuses(
    plain,
    { settings: { sampler: "euler" } },
    'Cannot sample: sampler must be ddim, ddpm or dpm-solver, got "euler"',
  );
  await refuses(
    told,
    { labels: Int32Array.of(12) },
    "Cannot sample: a class must be in [0, 2), got 12",
  );
  const given = { codes: new Int32Array(4), known: new Uint8Array(4) };
  await assert.rejects(
    plain.generate(reference, { count: 1, key, settings: {}, given }),
    {
      name: "RangeError",
      message: "Cannot complete images: a generator of codes is needed, got a diffusion model",
    },
  );
  await assert.rejects(
    plain.generate(reference, {
      count: 1,
      key,
      settings: { ...SAMPLING },
      signal: AbortSignal.abort(),
    }),
    { name: "AbortError" },
  );
  assert.throws(
    () => tinyDiffusion(reference, { network: { classes: 3 }, dataset: classedWaves() }),
    {
      name: "RangeError",
      message: "Cannot train with classes: the data set must have 3 classes, got 2 of waves",
    },
  );
});

Deno.test("latents are measured once: statistics from a checkpoint are not measured again", async () => {
  using _scope = reference.scope();
  const stage1 = tinyFirstStage(reference);
  const first = tinyDiffusion(reference, { stage1 });
  await first.prepare(reference);
  const state = await first.stateDictionary();
  assert.deepEqual([...state.get("model.latents.measured")!.values], [1]);
  const moved = new Map(state);
  moved.set("model.latents.mean", { shape: [4], values: Float32Array.of(1, 2, 3, 4) });
  const second = tinyDiffusion(reference, { stage1 });
  second.loadStateDictionary(moved);
  await second.prepare(reference);
  assert.deepEqual([...await second.model.latents!.mean.floats()], [1, 2, 3, 4]);
});
