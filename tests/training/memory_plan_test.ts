/** Plans of memory against what real steps take. */
import assert from "node:assert/strict";
import type { Backend, Buffer } from "../../core/backend.ts";
import { withKernels } from "../../core/backend.ts";
import { openDryRun } from "../../core/dry_run.ts";
import { openCpuBackend } from "../../core/cpu/backend.ts";
import { watchMemory } from "../../core/memory_watch.ts";
import { randomKey } from "../../core/random.ts";
import { openReferenceBackend } from "../../core/reference/backend.ts";
import { Device } from "../../core/tensor.ts";
import { exp } from "../../core/functions/elementwise.ts";
import { imageShapeOf, openDataset } from "../../data/registry.ts";
import type { Config } from "../../training/config.ts";
import { constructObjective } from "../../training/construct.ts";
import { planMemory } from "../../training/memory_plan.ts";
import { resolveConfig } from "../../training/resolve.ts";

/** A device that counts what its backend hands out. */
function counted(backend: Backend) {
  const count = { now: 0, most: 0 };
  const counting: Backend = {
    ...withKernels(backend, backend.kernels),
    allocate(bytes) {
      const buffer = backend.allocate(bytes);
      count.now += buffer.bytes;
      count.most = Math.max(count.most, count.now);
      return buffer;
    },
    free(buffer) {
      count.now -= buffer.bytes;
      backend.free(buffer);
    },
  };
  return { device: new Device(counting), count };
}

/** Takes two real steps on images of the data set: the bytes alive at the peak of the second, and the most that the device's
 * allocator had handed out. */
async function measure(config: Config, backend: Backend<Buffer>) {
  const dataset = await openDataset(config.data);
  const { device, count } = counted(backend);
  using _closed = device;
  using objective = await constructObjective(config, device, dataset);
  const { batchSize } = config.training;
  const indices = Int32Array.from({ length: batchSize }, (_, at) => at);
  const images = await dataset.images("train", indices);
  const step = (index: number) => {
    using _scope = device.scope();
    const batch = { images: device.tensor(images, [batchSize, ...dataset.imageShape]), indices };
    objective.step(batch, { training: true, key: randomKey(1, "step", index), step: 1000 + index });
  };
  step(0);
  const restingBytes = device.liveBytes;
  using watch = watchMemory(device);
  step(1);
  return { restingBytes, peakBytes: watch.peakBytes, allocatedBytes: count.most };
}

const SMALL = {
  vqvae: {
    preset: "digits",
    model: { hidden: 8, residualHidden: 4 },
    quantizer: { codebookSize: 16, codebookDim: 8 },
  },
  vqgan: {
    preset: "vqgan-small",
    data: { name: "shapes", size: 16 },
    model: { ch: 8, groups: 4, resolution: 16, attnResolutions: [4] },
    quantizer: { codebookSize: 16, codebookDim: 8 },
    objective: { discLayers: 1, discChannels: 8 },
  },
};

for (const [name, flags] of Object.entries(SMALL)) {
  for (const recompute of name === "vqvae" ? [false] : [false, true]) {
    for (const on of ["reference", "cpu"] as const) {
      const how = recompute ? " with recomputation" : "";
      Deno.test(`the plan of a ${name}${how} predicts the memory of ${on} to the byte`, async () => {
        const training = { batchSize: 2, recompute };
        const config = resolveConfig({ flags: { ...flags, training } as never });
        const backend: unknown = on === "cpu"
          ? await openCpuBackend({ threads: 1, blas: "off", dnn: "off" })
          : openReferenceBackend();
        const measured = await measure(config, backend as Backend);
        const imageShape = imageShapeOf(config.data);
        const plan = await planMemory(config, { device: on, imageShape, batches: [2] });
        const planned = plan.steps.find((step) => step.recompute === recompute)!;
        assert.equal(plan.restingBytes, measured.restingBytes, "between steps");
        assert.equal(planned.peakBytes, measured.peakBytes, "alive at the peak");
        assert.equal(planned.heldBytes, measured.allocatedBytes, "held by the allocator");
      });
    }
  }
}

Deno.test("a plan includes the parameters and the optimisers' state, and grows with the batch", async () => {
  const config = resolveConfig({ flags: SMALL.vqgan as never });
  const options = { device: "webgpu", imageShape: [16, 16, 3], batches: [1, 4] } as const;
  const plan = await planMemory(config, options);
  assert.equal(plan.optimizerBytes, 2 * 4 * plan.parameters);
  assert.ok(plan.restingBytes >= 4 * plan.parameters + plan.optimizerBytes);
  assert.deepEqual(plan.steps.map(({ batch, recompute }) => [batch, recompute]), [
    [1, false],
    [1, true],
    [4, false],
    [4, true],
  ]);
  const [, , four, recomputed] = plan.steps;
  assert.ok(four.peakBytes > plan.steps[0].peakBytes);
  assert.ok(recomputed.peakBytes < four.peakBytes);
  assert.ok(four.heldBytes >= four.peakBytes && four.longestBytes < four.peakBytes);
  await assert.rejects(planMemory(config, { ...options, batches: [] }), /at least one batch/);
});

Deno.test("a perceptual term is planned without its weights", async () => {
  const plan = async (perceptual: string) => {
    const objective = { ...SMALL.vqgan.objective, perceptual };
    const config = resolveConfig({ flags: { ...SMALL.vqgan, objective } as never });
    return await planMemory(config, { device: "cpu", imageShape: [32, 32, 3], batches: [1] });
  };
  const [without, squeeze] = [await plan("none"), await plan("squeeze")];
  assert.equal(squeeze.parameters, without.parameters);
  assert.ok(squeeze.restingBytes > without.restingBytes + 4 * 700_000); // SqueezeNet's own.
});

Deno.test("data sets know the shape of their images before they are opened", async () => {
  for (const config of [{ name: "digits" }, { name: "shapes", size: 24 }]) {
    assert.deepEqual(imageShapeOf(config), (await openDataset(config)).imageShape);
  }
  assert.deepEqual(imageShapeOf({ name: "ffhq" }), [256, 256, 3]);
  assert.deepEqual(imageShapeOf({ name: "lsun", size: 64 }), [64, 64, 3]);
  assert.deepEqual(imageShapeOf({ name: "cifar10" }), [32, 32, 3]);
});

Deno.test("a dry run allocates no memory, but counts all of it", async () => {
  using device = openDryRun("webgpu");
  using huge = device.empty([2 ** 20, 2 ** 12]);
  using same = exp(huge);
  assert.equal(device.name, "webgpu");
  assert.equal(device.liveBytes, 2 * 2 ** 34);
  using few = device.tensor([1, 2, 3], [3]);
  assert.equal(new Set(await few.floats()).size, 3);
  assert.deepEqual(same.shape, huge.shape);
});

Deno.test("in a plan, the work of a step grows with the batch, but its kernels do not, and are at most 360", async () => {
  const config = resolveConfig({ flags: { preset: "digits" } });
  const { steps } = await planMemory(config, {
    ...{ device: "webgpu", imageShape: [28, 28, 1], batches: [8, 16] },
  });
  const [eight, , sixteen] = steps;
  assert.equal(sixteen.operations, 2 * eight.operations);
  // The encoder's convolutions alone, forward: 4×4×1×64 at 14×14, 4×4×64×128 at 7×7, 3×3×128×128 at 7×7.
  const encoder = 2 * 8 * (14 * 14 * 64 * 16 + 7 * 7 * 128 * 1024 + 7 * 7 * 128 * 1152);
  assert.ok(eight.operations > 3 * encoder, `${eight.operations}`);
  assert.ok(sixteen.movedBytes > eight.movedBytes && sixteen.movedBytes < 2 * eight.movedBytes);
  assert.equal(eight.kernels, sixteen.kernels);
  assert.ok(eight.kernels <= 360, `${eight.kernels} kernels`); // Each costs the host time on a GPU.
});
