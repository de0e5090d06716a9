import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import type { StateDictionary } from "../../nn/module.ts";
import { decodePyTorch, readPyTorch } from "../../files/pytorch_file.ts";
import { encodePyTorch } from "../../files/pytorch_writer.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { constructAutoencoder } from "../../objectives/reconstruction_kind.ts";
import { saveCheckpoint } from "../../training/checkpoint.ts";
import { identityOf } from "../../training/identity.ts";
import { exportRun } from "../../training/pretrained/export_run.ts";
import { importRun, importWeights } from "../../training/pretrained/import_run.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { unpack } from "../pytorch_weights.ts";
import { withFolder } from "./tiny.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

for (const kind of ["group", "spatial"]) {
  Deno.test(`diffusers' weights with ${kind} norms survive import and export`, () =>
    withFolder(async (folder) => {
      const path = await unpack(`diffusers-${kind}`, folder);
      const run = `${folder}/run`, out = `${folder}/out/model`;
      await importRun(path, { flags: { out: run } });
      const { files, tensors, notes } = await exportRun(run, device, { format: "diffusers", out });
      assert.deepEqual(notes, []);
      const [before, after] = await Promise.all(
        [path, out].map((one) => readSafetensors(`${one}/diffusion_pytorch_model.safetensors`)),
      );
      assert.equal(tensors, before.tensors.size);
      assert.equal(after.metadata.get("format"), "pt");
      assert.deepEqual(new Map([...after.tensors].sort()), new Map([...before.tensors].sort()));
      const [wanted, got] = await Promise.all(
        [`${path}/config.json`, files[1]].map(async (file) =>
          JSON.parse(await Deno.readTextFile(file))
        ),
      );
      assert.deepEqual(got, wanted);
    }));
}

for (const name of ["taming", "gumbel"]) {
  Deno.test(`taming's ${name} weights survive import and export`, () =>
    withFolder(async (folder) => {
      const path = await unpack(`${name}.ckpt`, folder);
      const run = `${folder}/run`, out = `${folder}/out/model.ckpt`;
      await importRun(path, { flags: { out: run } });
      const { files, tensors } = await exportRun(run, device, { format: "taming", out });
      assert.deepEqual(files, [out, `${folder}/out/model.yaml`]);
      const [before, after] = await Promise.all([path, out].map(readPyTorch));
      assert.equal(tensors, after.size);
      for (const [key, tensor] of after) {
        const theirs = before.get(key) ?? before.get(key.replace(/^state_dict\./, ""));
        assert.deepEqual(tensor, theirs, key);
      }
      const yaml = await Deno.readTextFile(files[1]);
      assert.match(yaml, name === "taming" ? /VQModel/ : /GumbelVQ/);
      assert.match(yaml, name === "taming" ? /ch_mult: \[2, 1\]/ : /ch_mult: \[1, 1\]/);
      const [first, again] = await Promise.all([path, out].map((one) => importWeights(one)));
      assert.deepEqual(again.state, first.state);
    }));
}

/** A run that was not trained, in a folder of its own. */
async function makeRun(out: string, flags: object): Promise<StateDictionary> {
  const model = { type: "vqgan", ch: 4, chMult: [1, 2], groups: 4, attnResolutions: [] };
  const config = resolveConfig({ flags: { model, ...flags, out } });
  const folder = new RunFolder(out);
  await folder.begin(0);
  await folder.writeConfig(config);
  using network = constructAutoencoder(device, {
    ...config,
    quantizer: config.quantizer!,
    channels: 3,
  });
  const state = await network.stateDictionary();
  const named = new Map([...state].map(([name, tensor]) => [`model.${name}`, tensor] as const));
  const header = { identity: identityOf(config), carried: {} };
  await saveCheckpoint(folder.checkpoint("last"), named, header);
  return state;
}

Deno.test("the exported codebook is what the decoder gets, for any quantiser", () =>
  withFolder(async (out) => {
    const lone = { type: "vanilla", codebookSize: 6, codebookDim: 4 };
    for (
      const [quantizer, isSame] of [
        [lone, true],
        [{ ...lone, distance: "cos" }, false],
        [{ ...lone, unitLength: true }, false],
        [{ type: "clustered", codebookSize: 6, codebookDim: 4, distance: "l2" }, true],
        [{ type: "fsq", levels: [3, 2, 2, 2] }, false],
      ] as const
    ) {
      const run = `${out}/${crypto.randomUUID()}`, to = `${run}-out`;
      await makeRun(run, { quantizer });
      const { notes } = await exportRun(run, device, { format: "diffusers", out: to });
      assert.equal(notes.length === 0, isSame, JSON.stringify(quantizer));
      const { state, config } = await importWeights(to);
      const codes = state.get("quantizer.codebook")!;
      assert.deepEqual(codes.shape, [quantizer.type === "fsq" ? 24 : 6, 4]);
      assert.equal(config.model.groups, 4);
      if ("unitLength" in quantizer) {
        const first = Math.hypot(...codes.values.slice(0, 4));
        assert.ok(Math.abs(first - 1) < 1e-5, `codes of length 1, got ${first}`);
      }
    }
  }));

Deno.test("weights that the target library cannot load are not exported", () =>
  withFolder(async (folder) => {
    const quantizer = { type: "vanilla", codebookSize: 6, codebookDim: 4 };
    const inner = { type: "vanilla", codebookSize: 6, codebookDim: 4 };
    const cases = [
      [{ quantizer }, "taming", /its norms must have 32 groups, got 4$/],
      [
        {
          quantizer,
          model: { type: "vqgan", ch: 32, chMult: [1], attnResolutions: [], norm: "spatial" },
        },
        "taming",
        /its norms must be plain group norms, got modulated ones$/,
      ],
      [
        { quantizer: { type: "residual", depth: 2, inner } },
        "diffusers",
        /each position of its grid must have one code, got 2 codes$/,
      ],
      [
        { quantizer, model: { type: "vqvae", hidden: 4, residualHidden: 2 } },
        "diffusers",
        /its model must be a vqgan, got vqvae$/,
      ],
    ] as const;
    for (const [at, [flags, format, message]] of cases.entries()) {
      const run = `${folder}/${at}`, out = `${folder}/out`;
      await makeRun(run, flags);
      await assert.rejects(exportRun(run, device, { format, out }), {
        name: "RangeError",
        message,
      });
      await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
    }
  }));

Deno.test("a written PyTorch file survives a round trip, with and without an outer dictionary", () => {
  const tensors = new Map([
    ["a", { shape: [2, 3], values: Float32Array.from({ length: 6 }, (_, at) => at / 7) }],
    ["b.weight", { shape: [], values: Int32Array.of(-5) }],
    ["ü", { shape: [1], values: Float32Array.of(-0) }],
  ]);
  assert.deepEqual(decodePyTorch(encodePyTorch(tensors), "plain"), tensors);
  const within = decodePyTorch(encodePyTorch(tensors, "state_dict"), "nested");
  assert.deepEqual([...within.keys()], ["state_dict.a", "state_dict.b.weight", "state_dict.ü"]);
});
