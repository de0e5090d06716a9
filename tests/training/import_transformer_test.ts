/** taming's transformers over codes, taken over: PyTorch's logits, and the images that they draw. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { openDevice } from "../../core/device.ts";
import type { DeviceName } from "../../core/backend.ts";
import { slice } from "../../core/functions/movement.ts";
import { withoutGradients } from "../../core/execute.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { memoryDataset } from "../../data/memory.ts";
import { readPyTorch } from "../../files/pytorch_file.ts";
import { writePyTorch } from "../../files/pytorch_writer.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import type { AutoregressionObjective } from "../../objectives/autoregression.ts";
import { readCheckpoint } from "../../training/checkpoint.ts";
import { constructObjective, restoreModel } from "../../training/construct.ts";
import { openGenerator } from "../../training/open_generator.ts";
import { openRun } from "../../training/open_run.ts";
import { importRun } from "../../training/pretrained/import_run.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose } from "../tolerances.ts";
import { withFolder } from "./tiny.ts";

const devices = await openTestDevices();
/** The requirement: two blocks in float32, and some twenty layers of a VQGAN, against PyTorch. */
const NETWORK = 1e-4;
const LENGTH = 16;
const key = randomKey(1, "samples");

const path = (name: string) =>
  fileURLToPath(new URL(`../fixtures/net2net/${name}`, import.meta.url));
const { tensors: example } = await readSafetensors(path("example.safetensors"));
const wanted = (name: string) => example.get(name)!.values;

async function unpack(folder: string): Promise<string> {
  const file = `${folder}/net2net.ckpt`;
  await Deno.writeFile(file, gunzipSync(await Deno.readFile(path("net2net.ckpt.gz"))));
  return file;
}

/** Images of 8×8 have 4×4 codes. */
const FLAGS = { data: { name: "shapes", size: 8 }, model: { heads: 2 } };

/** Runs a body with the generator of a run that was told of classes, which no data set in a file here has. */
async function withClasses(
  device: Device,
  out: string,
  body: (generator: AutoregressionObjective) => Promise<void>,
): Promise<void> {
  const images = new Float32Array(12 * 192), labels = Int32Array.from({ length: 12 }, (_, i) => i);
  const dataset = memoryDataset({
    ...{ name: "twelve", imageShape: [8, 8, 3], train: images, test: images },
    labels: { train: labels, test: labels },
  });
  const run = new RunFolder(out), config = resolveConfig({ saved: await run.readConfig() });
  using below = await openRun(config.stage1!, device);
  const sized = { ...config, training: { ...config.training, batchSize: 4 } };
  using objective = await constructObjective(sized, device, dataset, below.model);
  restoreModel(objective.model, await readCheckpoint(run.checkpoint("last")));
  await body(objective as AutoregressionObjective);
}

/** Compares the logits after the example's codes. */
async function compareLogits(
  device: Device,
  { model }: AutoregressionObjective,
  labels: Int32Array<ArrayBuffer>,
  name: string,
): Promise<void> {
  using _scope = device.scope();
  const codes = device.tensor(example.get("codes")!.values, [2, LENGTH]);
  const shown = slice(codes, [0, 0], [2, LENGTH - 1]);
  const logits = withoutGradients(() =>
    model.logits(model.forward({ labels: device.tensor(labels, [2]), codes: shown }))
  );
  assertClose(await logits.floats(), wanted(`${name}.logits`), NETWORK, `${name}, ${device.name}`);
}

Deno.test("an imported unconditional transformer draws the same codes as PyTorch", () =>
  withFolder(async (folder) => {
    const out = `${folder}/run`;
    const imported = await importRun(await unpack(folder), { flags: { ...FLAGS, out } });
    assert.equal(imported.kind, "taming's transformer");
    const { model, objective, stage1 } = imported.config;
    assert.deepEqual([model.width, model.layers, model.heads, model.dropout], [16, 2, 2, 0]);
    assert.deepEqual([objective.type, objective.conditional], ["autoregression", false]);
    assert.equal(stage1, `${out}/first-stage`);
    for (const { name } of devices) {
      using device = await openDevice(name as DeviceName, { blas: "off" });
      using run = await openGenerator(out, device);
      const generator = run.generator as AutoregressionObjective;
      await compareLogits(device, generator, Int32Array.of(0, 0), "none");
      const settings = { temperature: 0 };
      const { codes, images } = await generator.generate(device, { count: 2, key, settings });
      assert.deepEqual([...codes!], [...wanted("none.drawn")], name);
      assertClose(images, wanted("none.images"), NETWORK, name);
    }
  }));

Deno.test("an imported class-conditional transformer draws the same codes as PyTorch for each class", () =>
  withFolder(async (folder) => {
    const out = `${folder}/run`, file = await unpack(folder);
    const { config } = await importRun(file, { flags: { ...FLAGS, out }, classes: 12 });
    assert.deepEqual([config.objective.conditional, config.objective.classDropout], [true, 0]);
    const labels = Int32Array.from(wanted("classes"));
    for (const { name } of devices) {
      using device = await openDevice(name as DeviceName, { blas: "off" });
      await withClasses(device, out, async (generator) => {
        await compareLogits(device, generator, labels, "classes");
        const request = { count: 2, key, labels, settings: { temperature: 0 } };
        const { codes, images } = await generator.generate(device, request);
        assert.deepEqual([...codes!], [...wanted("classes.drawn")], name);
        assertClose(images, wanted("classes.images"), NETWORK, name);
        await assert.rejects(generator.generate(device, { count: 1, key, settings: {} }), {
          name: "RangeError",
          message: /^Cannot sample any class: the model must have been trained with /,
        });
      });
    }
  }));

Deno.test("every tensor of a transformer's file is imported, or left out with a reason", () =>
  withFolder(async (folder) => {
    const file = await unpack(folder), out = `${folder}/run`;
    const { loaded, leftOut } = await importRun(file, { flags: { ...FLAGS, out } });
    const others = leftOut.flatMap(({ names }) => names), all = await readPyTorch(file);
    assert.deepEqual(new Set(others).size, others.length);
    assert.equal(loaded + others.length, all.size);
    assert.deepEqual(leftOut[0], {
      reason: "the causal mask, which the model has by itself",
      names: [0, 1].map((block) => `state_dict.transformer.blocks.${block}.attn.mask`),
    });
    assert.deepEqual(leftOut.map(({ reason }) => reason).slice(1), [
      "not of the first stage",
      "the discriminator, which only training needs",
    ]);
    const summary = JSON.parse(await Deno.readTextFile(`${out}/summary.json`));
    assert.equal(summary.imported.loaded, loaded);
  }));

Deno.test("the first stage can be imported alone", () =>
  withFolder(async (folder) => {
    const file = await unpack(folder), out = `${folder}/run`;
    const { kind, leftOut, config } = await importRun(file, {
      flags: { out },
      firstStageOnly: true,
    });
    assert.deepEqual([kind, config.stage1], ["taming", null]);
    const { names } = leftOut.find(({ reason }) => reason === "not of the first stage")!;
    assert.ok(names.includes("state_dict.transformer.tok_emb.weight"));
  }));

Deno.test("unsupported transformers are rejected by name, and nothing is written", () =>
  withFolder(async (folder) => {
    const file = await unpack(folder), out = `${folder}/run`;
    const all = await readPyTorch(file);
    const tensors = [...all].map(([name, tensor]): [string, HostTensor] => [
      name.replace("state_dict.", ""),
      tensor,
    ]);
    const small: HostTensor = { shape: [3], values: new Float32Array(3) };
    const changed = `${folder}/changed.ckpt`;
    const refused = async (
      change: (all: Map<string, HostTensor>) => void,
      message: RegExp,
      sources: Parameters<typeof importRun>[1] = {},
    ) => {
      const map = new Map(tensors);
      change(map);
      await writePyTorch(changed, map, "state_dict");
      const flags = { ...FLAGS, out };
      await assert.rejects(importRun(changed, { flags, ...sources }), {
        name: "RangeError",
        message,
      });
    };
    await refused(
      (all) => all.set("cond_stage_model.encoder.conv_in.weight", small),
      /transformer must be conditioned on a class or on nothing, got one with state_dict\.cond_stage_model\.encoder\.conv_in\.weight; --first-stage-only takes/,
    );
    await refused(
      (all) => all.set("permuter.forward_shuffle_idx", small),
      /must order the codes row by row, got one with state_dict\.permuter\.forward_shuffle_idx/,
    );
    await refused(
      (all) => all.set("transformer.extra.weight", small),
      /every tensor of its transformer must have a place in the model, got state_dict\.transformer\.extra\.weight$/,
    );
    await refused(
      (all) => all.delete("transformer.blocks.1.mlp.2.bias"),
      /it must hold state_dict\.transformer\.blocks\.1\.mlp\.2\.bias, got none$/,
    );
    await refused(
      (all) =>
        all.set("transformer.head.weight", { shape: [20, 16], values: new Float32Array(320) }),
      /transformer\.head\.weight must be float32 \[16, 16\], got \[20, 16\]$/,
    );
    await refused(
      (all) =>
        all.set("transformer.pos_emb", { shape: [1, 32, 16], values: new Float32Array(512) }),
      /pos_emb must have as many positions as a square grid of codes; .*, got 32$/,
    );
    const nothing = () => {};
    await refused(nothing, /classes are codes too, so there must be at most 16, got 17$/, {
      classes: 17,
    });
    await refused(
      nothing,
      /--model\.heads must give the number of the transformer's heads \(n_head in its YAML file\), got none$/,
      {
        flags: { out, data: FLAGS.data },
      },
    );
    await refused(nothing, /model\.heads must divide the width 16, got 3$/, {
      flags: { ...FLAGS, out, model: { heads: 3 } },
    });
    await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
    await importRun(file, { flags: { ...FLAGS, out } });
    await assert.rejects(importRun(file, { flags: { ...FLAGS, out } }), {
      message: /the folder must not have a run, got one/,
    });
  }));
