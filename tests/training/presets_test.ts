import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { memoryDataset } from "../../data/memory.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { constructModel, constructObjective } from "../../training/construct.ts";
import { PRESETS } from "../../training/presets.ts";
import { resolveConfig } from "../../training/resolve.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

const settings = (preset: string, flags: object = {}) =>
  resolveConfig({ flags: { preset, ...flags } });

Deno.test("each large preset is the published configuration", () => {
  const shape = (preset: string) => {
    const { objective, model, quantizer, optimizer, training } = settings(preset);
    const inner = (quantizer!.inner ?? quantizer) as Record<string, unknown>;
    const { chMult, attnResolutions, norm } = model as Record<string, unknown>;
    return {
      ...{ chMult, attnResolutions, norm, type: quantizer!.type },
      codes: [inner.codebookSize, inner.codebookDim],
      disc: [objective.discStart, objective.discLayers, objective.generatorWeight],
      rate: [optimizer.learningRate, optimizer.beta1, optimizer.beta2, training.batchSize],
    };
  };
  assert.deepEqual(shape("vqgan-f16"), {
    chMult: [1, 1, 2, 2, 4],
    attnResolutions: [16],
    norm: "group",
    type: "vanilla",
    codes: [1024, 256],
    disc: [30_001, 3, 0.8],
    rate: [5.4e-5, 0.5, 0.9, 12],
  });
  const f8 = shape("vqgan-f8"), f4 = shape("vqgan-f4"), rq = shape("rqvae"), movq = shape("movq");
  assert.deepEqual([f8.chMult, f8.attnResolutions, f8.codes], [[1, 2, 2, 4], [32], [16384, 4]]);
  assert.deepEqual([f4.chMult, f4.attnResolutions, f4.codes], [[1, 2, 4], [], [8192, 3]]);
  assert.deepEqual([rq.chMult, rq.type, rq.codes], [[1, 1, 2, 2, 4, 4], "residual", [2048, 256]]);
  assert.deepEqual([rq.disc, rq.rate], [[0, 2, 0.75], [4e-5, 0.5, 0.9, 32]]);
  assert.deepEqual([movq.norm, movq.type, movq.codes], ["spatial", "product", [1024, 64]]);
});

Deno.test("a different quantiser in a large preset keeps K and D", () => {
  const { quantizer, model } = settings("vqgan-f16", { quantizer: { type: "clustered" } });
  assert.deepEqual([quantizer!.type, quantizer!.codebookSize, quantizer!.codebookDim], [
    ...["clustered", 1024, 256],
  ]);
  assert.equal(model.type, "vqgan");
});

/** How many pixels of a side make a place of the grid, and the channels there. */
const GRIDS = { "vqgan-f8": [8, 4], "vqgan-f4": [4, 3], "vqgan-small": [4, 64] } as const;

for (const [preset, [downsampling, width]] of Object.entries(GRIDS)) {
  Deno.test(`${preset} creates its model at a small width`, () => {
    using _scope = device.scope();
    const config = settings(preset, { model: { ch: 4, groups: 4 } });
    const images = new Float32Array(32 * 32 * 3);
    const dataset = memoryDataset({
      name: "x",
      imageShape: [32, 32, 3],
      train: images,
      test: images,
    });
    const model = constructModel(config, device, dataset);
    assert.deepEqual([model.downsampling, model.quantizer.codebookDim], [downsampling, width]);
  });
}

Deno.test("ldm works on features with fewer channels than components", async () => {
  using _scope = device.scope();
  const key = randomKey(1, "narrow");
  const network = new VQVAE(device, createQuantizer(device, { type: "fsq", levels: [4, 4] }, key), {
    ...{ channels: 1, hidden: 8, residualHidden: 4, key },
  });
  const images = new Float32Array(4 * 8 * 8);
  const dataset = memoryDataset({ name: "x", imageShape: [8, 8, 1], train: images, test: images });
  const flags = { stage1: "runs/fsq", model: { width: 32 }, training: { batchSize: 4 } };
  const config = settings("ldm", flags);
  const stage1 = new FirstStage(network, key);
  const { model } = await constructObjective(config, device, dataset, stage1);
  const basis = model.namedBuffers().get("latents.basis") ??
    model.namedParameters().get("latents.basis");
  assert.deepEqual(basis?.shape, [2, 2]);
});

Deno.test("presets with shared settings do not share mutable objects", () => {
  const [first, second] = ["vqgan-f8", "vqgan-f4"].map((name) => PRESETS.get(name)!);
  assert.notEqual(first.optimizer, second.optimizer);
});

/** Of each published diffusion: the U-Net, what it takes noise off, and how it was trained. */
const PUBLISHED = {
  "ldm-ffhq": [224, [1, 2, 3, 4], [2, 4, 8], 32, "sqrt-linear", 8.4e-5, 42],
  "ldm-bedrooms": [224, [1, 2, 3, 4], [2, 4, 8], 32, "sqrt-linear", 9.6e-5, 48],
  "ldm-churches": [192, [1, 2, 2, 4, 4], [1, 2, 4, 8], null, "sqrt-linear", 5e-5, 96],
  "ldm-imagenet": [256, [1, 2, 4], [1, 2, 4], 32, "sqrt-linear", 4.8e-5, 48],
  "ddpm-256": [128, [1, 1, 2, 2, 4, 4], [16], null, "linear", 2e-5, 64],
  "ddpm-cifar10": [128, [1, 2, 2, 2], [2], null, "linear", 2e-4, 128],
} as const;

Deno.test("each published diffusion has its paper's settings", () => {
  for (const [preset, published] of Object.entries(PUBLISHED)) {
    const below = preset.startsWith("ldm") ? { stage1: "runs/stage1" } : {};
    const { model, objective, optimizer, training } = settings(preset, below);
    assert.deepEqual(
      [
        ...[model.width, model.multipliers, model.attentionAt, model.headChannels],
        ...[objective.schedule, optimizer.learningRate, training.batchSize],
      ],
      published,
      preset,
    );
    assert.deepEqual([model.residualBlocks, objective.times, objective.prediction], [
      ...[2, 1000, "epsilon"],
    ]);
    assert.equal(training.averageDecay, 0.9999);
  }
  const churches = settings("ldm-churches", { stage1: "runs/stage1" });
  assert.deepEqual([churches.model.heads, churches.model.scaleShift, churches.model.resample], [
    ...[8, true, "residual"],
  ]);
  assert.equal(churches.objective.lastBeta, 0.0155);
  const imagenet = settings("ldm-imagenet", { stage1: "runs/stage1" });
  assert.deepEqual([imagenet.model.conditioning, imagenet.model.contextWidth], [
    ...["cross-attention", 512],
  ]);
  assert.equal(imagenet.objective.classes, true);
  const cifar = settings("ddpm-cifar10");
  assert.deepEqual([cifar.model.dropout, cifar.optimizer.warmupSteps, cifar.optimizer.clipNorm], [
    ...[0.1, 5000, 1],
  ]);
});

Deno.test("the small diffusions train on digits and emoji", () => {
  for (
    const [preset, name] of [["ldm", "digits"], ["ldm-class", "digits"], ["ldm-emoji", "emoji"]]
  ) {
    const { data, objective } = settings(preset, { stage1: "runs/stage1" });
    assert.deepEqual([data.name, objective.type], [name, "latent-diffusion"]);
  }
  assert.equal(settings("ddpm").data.name, "digits");
});
