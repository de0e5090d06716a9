import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { HostTensor } from "../../core/host_tensor.ts";
import { openDevice } from "../../core/device.ts";
import type { DeviceName } from "../../core/backend.ts";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { decodeSafetensors } from "../../files/safetensors_bytes.ts";
import { readPyTorch } from "../../files/pytorch_file.ts";
import { writePyTorch } from "../../files/pytorch_writer.ts";
import { openRun } from "../../training/open_run.ts";
import { importRun, importWeights } from "../../training/pretrained/import_run.ts";
import { toPyTorch } from "../../training/pretrained/layout.ts";
import { tamingNames } from "../../training/pretrained/vqgan_names.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { openTestDevices } from "../helpers.ts";
import { fixture, unpack } from "../pytorch_weights.ts";
import { assertClose } from "../tolerances.ts";
import { withFolder } from "./tiny.ts";

const devices = await openTestDevices();
/** The requirement: some twenty layers in float32, on weights of few values. */
const NETWORK = 1e-4;

const CHECKPOINTS = [
  ["taming.ckpt", "taming", "taming"],
  ["ldm.ckpt", "ldm", "taming"],
  ["gumbel.ckpt", "gumbel", "taming"],
  ["diffusers-group", "diffusers-group", "diffusers"],
  ["diffusers-spatial", "diffusers-spatial", "diffusers"],
  ["reference.pt", "reference", "CVQ-VAE"],
] as const;

for (const [file, example, kind] of CHECKPOINTS) {
  Deno.test(`${file} becomes a run whose reconstructions agree with PyTorch`, () =>
    withFolder(async (folder) => {
      const path = await unpack(file, folder), out = `${folder}/run`;
      const imported = await importRun(path, { flags: { out } });
      assert.equal(imported.kind, kind);
      assert.equal(await new RunFolder(out).state(), "finished");
      const { tensors } = await readSafetensors(fixture(`${example}-example.safetensors`));
      const { shape, values } = tensors.get("images")!;
      assert.ok(new Set(tensors.get("indices")!.values).size > 1, "several codes are in use");
      for (const { name } of devices) {
        using device = await openDevice(name as DeviceName, { blas: "off" });
        using run = await openRun(out, device);
        using _scope = device.scope();
        const images = device.tensor(values as Float32Array<ArrayBuffer>, shape);
        const { indices } = run.model.encode(images);
        assert.deepEqual([...await indices.integers()], [...tensors.get("indices")!.values], name);
        const wanted = tensors.get("reconstruction")!.values;
        assertClose(await run.model.reconstruct(images).floats(), wanted, NETWORK, name);
      }
    }));
}

Deno.test("the sizes are inferred from the tensors", () =>
  withFolder(async (folder) => {
    const taming = await importWeights(await unpack("taming.ckpt", folder));
    const { model, quantizer } = taming.config;
    assert.deepEqual(model, {
      type: "vqgan",
      ch: 32,
      chMult: [2, 1],
      numResBlocks: 1,
      resolution: 256,
      attnResolutions: [128],
      zChannels: 8,
      dropout: 0,
      groups: 32,
      norm: "group",
    });
    assert.deepEqual([quantizer!.type, quantizer!.codebookSize, quantizer!.codebookDim], [
      ...["vanilla", 16, 4],
    ]);
    const spatial = await importWeights(await unpack("diffusers-spatial", folder));
    assert.deepEqual([spatial.config.model.norm, spatial.config.model.attnResolutions], [
      ...["spatial", [128]],
    ]);
    const gumbel = await importWeights(await unpack("gumbel.ckpt", folder));
    assert.deepEqual([gumbel.config.quantizer!.type, gumbel.config.quantizer!.codebookSize], [
      ...["gumbel", 16],
    ]);
    const small = await importWeights(await unpack("reference.pt", folder));
    const { hidden, residualHidden, residualLayers } = small.config.model;
    assert.deepEqual([hidden, residualHidden, residualLayers], [8, 4, 2]);
    assert.equal(small.config.quantizer!.type, "clustered");
  }));

Deno.test("every tensor of a file is imported, or left out with a reason", () =>
  withFolder(async (folder) => {
    for (const [file] of CHECKPOINTS) {
      const path = await unpack(file, folder);
      const { loaded, leftOut } = await importWeights(path);
      const all = file.startsWith("diffusers")
        ? (await readSafetensors(`${path}/diffusion_pytorch_model.safetensors`)).tensors
        : await readPyTorch(path);
      const others = leftOut.flatMap(({ names }) => names);
      assert.equal(loaded + others.length, all.size, file);
      assert.equal(new Set(others).size, others.length);
      if (file === "ldm.ckpt") {
        assert.deepEqual(leftOut, [{
          reason: "not of the first stage",
          names: ["state_dict.model.diffusion_model.out.2.bias", "state_dict.betas"],
        }]);
      }
      if (file === "taming.ckpt") {
        const reasons = leftOut.map(({ reason }) => reason);
        assert.ok(reasons.includes("the discriminator, which only training needs"), `${reasons}`);
        assert.ok(reasons.includes("the perceptual network, which only training needs"));
      }
    }
  }));

Deno.test("old names of attention weights in diffusers are recognised", () =>
  withFolder(async (folder) => {
    const path = await unpack("diffusers-group", folder);
    const file = `${path}/diffusion_pytorch_model.safetensors`;
    const { state: wanted } = await importWeights(path);
    const { tensors } = await readSafetensors(file);
    const old = [["to_q", "query"], ["to_k", "key"], ["to_v", "value"], ["to_out.0", "proj_attn"]];
    const renamed = [...tensors].map(([name, tensor]): [string, HostTensor] => [
      old.reduce((text, [now, before]) => text.replace(`.${now}.`, `.${before}.`), name),
      tensor,
    ]);
    await writeSafetensors(file, new Map(renamed));
    const { state } = await importWeights(path);
    assert.deepEqual(state, wanted);
  }));

Deno.test("MoVQ's files with taming's names and modulated norms are imported", () =>
  withFolder(async (folder) => {
    const { state, config } = await importWeights(await unpack("diffusers-spatial", folder));
    const named = [...state].map(([ours, tensor]): [string, HostTensor] => {
      const { name, layout } = tamingNames(ours)!;
      return [name, toPyTorch(tensor, layout)];
    });
    const tensors = new Map(named);
    assert.ok(tensors.has("decoder.up.1.attn.0.norm.norm_layer.weight"));
    assert.ok(tensors.has("decoder.norm_out.conv_b.bias"));
    const path = `${folder}/movq.ckpt`;
    await writePyTorch(path, tensors, "state_dict");
    const again = await importWeights(path);
    assert.equal(again.kind, "taming");
    assert.deepEqual(again.config.model, config.model);
    assert.deepEqual(again.state, state);
  }));

Deno.test("weights that do not match are rejected with both names", () =>
  withFolder(async (folder) => {
    const path = await unpack("diffusers-group", folder);
    const file = `${path}/diffusion_pytorch_model.safetensors`;
    const { tensors } = decodeSafetensors(await Deno.readFile(file), file);
    const refused = async (change: (all: Map<string, HostTensor>) => void, message: RegExp) => {
      const changed = new Map(tensors);
      change(changed);
      await writeSafetensors(file, changed);
      await assert.rejects(importWeights(path), { name: "RangeError", message });
    };
    const small: HostTensor = { shape: [3], values: new Float32Array(3) };
    await refused(
      (all) => all.set("decoder.mid_block.resnets.0.norm1.weight", small),
      /decoder\.mid_block\.resnets\.0\.norm1\.weight must fit decoder\.mid\.block1\.norm1\.weight, float32 \[32\] .*got float32 \[3\]$/,
    );
    await refused(
      (all) => all.delete("encoder.conv_out.bias"),
      /it must hold encoder\.conv_out\.bias, which is encoder\.convOut\.bias here, got none$/,
    );
    await refused(
      (all) => all.set("decoder.extra.weight", small),
      /every tensor of its networks must have a place in the model, got decoder\.extra\.weight without one$/,
    );
    await refused(
      (all) => all.delete("quantize.embedding.weight"),
      /it must hold the codebook quantize\.embedding\.weight, got none: an autoencoder without codes/,
    );
    const other = `${folder}/other.safetensors`;
    await writeSafetensors(other, new Map([["features.0.weight", small]]));
    await assert.rejects(importWeights(other), {
      name: "RangeError",
      message:
        /it must hold _encoder\._conv_1\.weight \(CVQ-VAE\) or .*got others, such as features\.0\.weight$/,
    });
  }));

Deno.test("a truncated file, a file with code in it, and a folder without weights are rejected", () =>
  withFolder(async (folder) => {
    const path = await unpack("taming.ckpt", folder);
    const bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.length / 2));
    await assert.rejects(importWeights(path), { name: "RangeError", message: /^Cannot read / });
    const code = fileURLToPath(new URL("../fixtures/pytorch/module.pt", import.meta.url));
    await assert.rejects(importWeights(code), {
      name: "RangeError",
      message: /its pickle must hold plain data and tensors only, got opcode/,
    });
    await assert.rejects(
      importWeights(folder),
      /config\.json.* a folder of diffusers must have it/,
    );
    await Deno.writeTextFile(`${folder}/config.json`, "{}");
    await assert.rejects(importWeights(folder), /the folder must hold diffusion_pytorch_model/);
    await assert.rejects(importWeights(`${folder}/none.ckpt`), /^Error: Cannot read /);
  }));

Deno.test("settings that the weights do not determine come from a file and flags, and a run is not overwritten", () =>
  withFolder(async (folder) => {
    const path = await unpack("taming.ckpt", folder), out = `${folder}/run`;
    const file = { model: { resolution: 64, attnResolutions: [32] } };
    const flags = { out, quantizer: { type: "clustered" } };
    const { config } = await importRun(path, { file, flags });
    assert.deepEqual([config.model.resolution, config.quantizer!.type, config.out], [
      ...[64, "clustered", out],
    ]);
    await assert.rejects(importRun(path, { flags }), /the folder must not have a run, got one/);
    const fsq = { quantizer: { type: "fsq", levels: [4, 4, 2, 2] } };
    await assert.rejects(importWeights(path, { flags: fsq }), {
      name: "RangeError",
      message: /got state_dict\.quantize\.embedding\.weight without one$/,
    });
  }));
