/** Whole latent diffusion models: PyTorch's file becomes two runs, one of them a generator. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { load } from "js-yaml";
import type { DeviceName } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { randomKey } from "../../core/random.ts";
import { readPyTorch } from "../../files/pytorch_file.ts";
import { writePyTorch } from "../../files/pytorch_writer.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import type { DiffusionObjective } from "../../objectives/diffusion.ts";
import { NoiseSchedule } from "../../objectives/diffusion/schedule.ts";
import { openGenerator } from "../../training/open_generator.ts";
import { importRun, importWeights } from "../../training/pretrained/import_run.ts";
import { readLdmConfig } from "../../training/pretrained/ldm_config.ts";
import { scheduleOf } from "../../training/pretrained/ldm_schedule.ts";
import { recogniseUNet } from "../../training/pretrained/ldm_unet.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose } from "../tolerances.ts";
import { withFolder } from "./tiny.ts";

const devices = await openTestDevices();
/** The requirement. */
const NETWORK = 1e-4;

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const yaml = await Deno.readTextFile(fixture("ldm/config.yaml"));
const ldm = readLdmConfig(load(yaml), "config.yaml");

/** The fixture's file in a folder. */
async function unpack(folder: string): Promise<string> {
  const path = `${folder}/whole.ckpt`;
  await Deno.writeFile(path, gunzipSync(await Deno.readFile(fixture("ldm/whole.ckpt.gz"))));
  return path;
}

Deno.test("an imported LDM becomes a run whose U-Net agrees with PyTorch", () =>
  withFolder(async (folder) => {
    const path = await unpack(folder), out = `${folder}/run`;
    const { kind, config, loaded, leftOut } = await importRun(path, {
      flags: { out },
      ldm,
    });
    assert.equal(kind, "LDM");
    const all = (await readPyTorch(path)).size;
    const others = leftOut.flatMap(({ names }) => names);
    assert.equal(loaded + others.length, all, "every tensor is accounted for");
    assert.equal(new Set(others).size, others.length);
    assert.equal(leftOut.length, 4);

    const { model, objective, data, training } = config;
    assert.deepEqual([model.width, model.multipliers, model.attentionAt], [32, [1, 1], [2]]);
    assert.deepEqual([model.heads, model.headChannels, model.contextWidth], [2, null, 6]);
    assert.deepEqual([objective.schedule, objective.times, objective.prediction], [
      ...["sqrt-linear", 100, "v"],
    ]);
    assert.deepEqual([objective.firstBeta, objective.lastBeta], [0.0015, 0.0195]);
    assert.deepEqual([data.name, data.size, data.classes], ["unknown", 8, 3]);
    assert.equal(training.averageDecay, 0.9999);

    const { tensors } = await readSafetensors(fixture("ldm/example.safetensors"));
    for (const { name } of devices) {
      using device = await openDevice(name as DeviceName, { blas: "off" });
      for (const weights of ["trained", "averaged"] as const) {
        using run = await openGenerator(out, device, { weights });
        using _scope = device.scope();
        const of = (part: string) =>
          device.tensor(tensors.get(part)!.values, tensors.get(part)!.shape);
        const { denoiser, latents } = (run.generator as DiffusionObjective).model;
        const context = { training: false, key: randomKey(1, "unused"), labels: of("labels") };
        const y = denoiser.forward(of("x"), tensors.get("times")!.values, context);
        assertClose(await y.floats(), tensors.get(weights)!.values, NETWORK, `${name} ${weights}`);
        const features = of("x"), scaled = latents!.encode(features);
        assertClose(
          await scaled.floats(),
          tensors.get("x")!.values.map((value) => value / 2),
          1e-6,
          "the scale factor is a half",
        );
        assertClose(await latents!.decode(scaled).floats(), tensors.get("x")!.values, 1e-6, "back");
      }
    }
    using device = await openDevice("cpu");
    using run = await openGenerator(out, device);
    const request = { count: 2, key: randomKey(1, "generate"), labels: Int32Array.of(2, 0) };
    const made = await run.generator.generate(device, { ...request, settings: { steps: 3 } });
    assert.equal(made.images.length, 2 * 8 * 8 * 3);
    assert.deepEqual(made.codeShape, [4, 4]);
    await assert.rejects(
      run.generator.generate(device, { ...request, settings: { guidance: 2 } }),
      /guidance must be 1 .* without dropping classes/,
    );
    await assert.rejects(
      run.dataset.images("train", Int32Array.of(0)),
      /must have images, got unknown/,
    );
  }));

Deno.test("the last class means no class if the flags or ImageNet's size say so", () =>
  withFolder(async (folder) => {
    const path = await unpack(folder);
    const dropped = await importWeights(path, { flags: { objective: { dropClass: 0.1 } }, ldm });
    assert.equal(dropped.config.data.classes, 2);
    const table = dropped.state.get("denoiser.classEmbedding.weight")!;
    assert.deepEqual(table.shape, [3, 6]);
    const plain = await importWeights(path, { ldm });
    const longer = plain.state.get("denoiser.classEmbedding.weight")!;
    assert.deepEqual(longer.shape, [4, 6]);
    assert.deepEqual(longer.values.slice(0, 18), table.values.slice());

    const tensors = new Map(
      [...await readPyTorch(path)].filter(([name]) => name.startsWith("state_dict."))
        .map(([name, tensor]) => [name.slice("state_dict.".length), tensor]),
    );
    const values = new Float32Array(1001 * 6);
    tensors.set("cond_stage_model.embedding.weight", { shape: [1001, 6], values });
    const large = `${folder}/large.ckpt`;
    await writePyTorch(large, tensors, "state_dict");
    const { config } = await importWeights(large, { ldm });
    assert.deepEqual([config.data.classes, config.objective.dropClass], [1000, 0.1]);
  }));

Deno.test("an LDM can be imported without its YAML file, and over a named first stage", () =>
  withFolder(async (folder) => {
    const path = await unpack(folder), out = `${folder}/run`;
    const { config } = await importRun(path, { flags: { out } });
    assert.deepEqual([config.model.headChannels, config.objective.prediction, config.data.size], [
      ...[32, "epsilon", 256],
    ]);
    const again = { out: `${folder}/again`, stage1: `${out}/first-stage` };
    const named = await importRun(path, { flags: again, ldm });
    assert.equal(named.stage1, undefined);
    assert.equal(named.config.stage1, again.stage1);
    assert.ok(
      named.leftOut.some(({ reason }) => reason === "of the first stage, whose run was named"),
    );
    await assert.rejects(importRun(path, { flags: { out } }), /must not have a run, got one/);
  }));

Deno.test("an unsupported model is rejected with the reason", () =>
  withFolder(async (folder) => {
    const path = await unpack(folder);
    const tensors = new Map(
      [...await readPyTorch(path)].filter(([name]) => name.startsWith("state_dict."))
        .map(([name, tensor]) => [name.slice("state_dict.".length), tensor]),
    );
    const refused = async (change: (all: Map<string, HostTensor>) => void, message: RegExp) => {
      const changed = new Map(tensors), file = `${folder}/changed.ckpt`;
      change(changed);
      await writePyTorch(file, changed, "state_dict");
      await assert.rejects(importWeights(file, { ldm }), { name: "RangeError", message });
    };
    const small: HostTensor = { shape: [3], values: new Float32Array(3) };
    const unet = "model.diffusion_model.";
    await refused(
      (all) => all.delete("betas"),
      /it must hold its noise schedule, betas, got none$/,
    );
    await refused((all) => all.set("betas", small), /its betas must be those of a linear, .*got 3/);
    await refused(
      (all) => all.delete("cond_stage_model.embedding.weight"),
      /must attend to the vector of a class, .*got none: one that attends to a text/,
    );
    await refused(
      (all) => all.delete(`${unet}middle_block.0.in_layers.2.bias`),
      /must hold a tensor for denoiser\.middleBlock\.0\.conv1\.bias, got none$/,
    );
    await refused(
      (all) => all.set(`${unet}middle_block.0.in_layers.2.bias`, small),
      /in_layers\.2\.bias must fit middleBlock\.0\.conv1\.bias, \[32\] .*, got \[3\]$/,
    );
    await refused(
      (all) => all.set(`${unet}extra.weight`, small),
      /every tensor of its networks must have a place in the model, got model\.diffusion_model\.extra/,
    );
    await refused(
      (all) => all.delete("model_ema.diffusion_modelout2bias"),
      /it must hold model_ema\.diffusion_modelout2bias, got none$/,
    );
    await refused(
      (all) =>
        all.set(`${unet}input_blocks.0.0.weight`, {
          shape: [32, 7, 3, 3],
          values: new Float32Array(2016),
        }),
      /must have 4 input channels, as many as output channels, got 7: it has additional inputs/,
    );
    await refused((all) => {
      for (const name of all.keys()) if (name.includes("quantize")) all.delete(name);
    }, /got none: an autoencoder without codes, such as a KL autoencoder/);
  }));

for (const name of ["plain", "class-scale-shift", "cross-attention"]) {
  Deno.test(`the settings of the U-Net ${name} are inferred from its tensors`, async () => {
    const { tensors, metadata } = await readSafetensors(fixture(`unet/${name}.safetensors`));
    const start = "weight.model.diffusion_model.";
    const own = [...tensors].filter(([name]) => name.startsWith(start));
    const { model, channels } = recogniseUNet(
      name,
      new Map(own.map(([name, tensor]) => [name.slice(start.length), tensor])),
    );
    const settings = JSON.parse(metadata.get("settings")!);
    for (const [setting, value] of Object.entries(model)) {
      if (setting !== "type" && setting !== "groups") {
        assert.deepEqual(value, settings[setting], setting);
      }
    }
    assert.equal(channels, Number(metadata.get("channels")));
  });
}

Deno.test("every schedule is recognised by its βs in float32", () => {
  for (
    const options of [
      { type: "linear", times: 1000 },
      { type: "sqrt-linear", times: 1000 },
      { type: "sqrt-linear", times: 50, first: 0.0015, last: 0.0155 },
      { type: "cosine", times: 200 },
    ] as const
  ) {
    const betas = Float32Array.from(new NoiseSchedule(options).betas);
    const { schedule, times, firstBeta, lastBeta } = scheduleOf(betas)!;
    const ends = { first: firstBeta as number, last: lastBeta as number };
    const again = new NoiseSchedule({
      type: schedule as typeof options.type,
      times: times as number,
      ...options.type !== "cosine" && ends,
    });
    assert.equal(schedule, options.type);
    assert.deepEqual(again.betas, new NoiseSchedule(options).betas);
  }
  assert.equal(scheduleOf(Float32Array.of(0.1, 0.5, 0.2)), undefined);
  assert.equal(scheduleOf([]), undefined);
});

Deno.test("the YAML file gives settings that the tensors do not", () => {
  assert.deepEqual(ldm, {
    scaleFactor: 1,
    settings: {
      objective: { prediction: "v" },
      model: { dropout: 0, headChannels: null, heads: 2 },
      data: { size: 8 },
    },
  });
  const ffhq = readLdmConfig(load(yaml.replace("num_heads: 2", "num_head_channels: 32")), "f");
  assert.deepEqual(ffhq.settings.model, { dropout: 0, headChannels: 32 });
  const refused = (change: (text: string) => string, message: RegExp) =>
    assert.throws(() => readLdmConfig(load(change(yaml)), "f.yaml"), message);
  refused(
    (text) => text.replace("parameterization: v", "parameterization: score"),
    /^RangeError: Cannot read f\.yaml: it must be the configuration of a latent diffusion model, got ".*" at model\.params\.parameterization$/,
  );
  refused(() => "[1, 2]", /at its top$/);
  refused(
    (text) => text.replace("context_dim: 6", "use_new_attention_order: true"),
    /at model\.params\.unet_config\.params\.use_new_attention_order$/,
  );
});
