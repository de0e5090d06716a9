/** Published weights by the command line: taken over, measured, and written again. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { decode } from "fast-png";
import { unpack } from "../pytorch_weights.ts";
import { withFolder } from "../training/tiny.ts";
import { lastLine, runTask } from "./child.ts";

Deno.test("taming's weights are imported, measured on images, and exported for diffusers", () =>
  withFolder(async (folder) => {
    const path = await unpack("taming.ckpt", folder), run = `${folder}/run`;
    const images = ["--data.name", "shapes", "--data.size", "16"];
    const imported = await runTask("import", [path, "--out", run, ...images, "--json"]);
    assert.equal(imported.code, 0, imported.stderr);
    const { kind, loaded, leftOut } = lastLine(imported.stdout);
    assert.deepEqual([kind, loaded, (leftOut as unknown[]).length], ["taming", 157, 3]);

    const flags = ["--limit", "4", "--device", "reference", "--report", "false", "--json"];
    const measured = await runTask("evaluate", [run, ...flags]);
    assert.equal(measured.code, 0, measured.stderr);

    const out = `${folder}/model`;
    const written = await runTask("export", [run, "--format", "diffusers", "--out", out]);
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, /157 tensors for diffusers in .*safetensors and .*config\.json/);

    const again = await runTask("import", [out, "--out", run]);
    assert.equal(again.code, 1, "a run is not overwritten");
    assert.match(again.stderr, /Cannot import into .*the folder must not have a run, got one/);
  }));

Deno.test("a transformer by taming is imported, and generates images", () =>
  withFolder(async (folder) => {
    const path = `${folder}/net2net.ckpt`, run = `${folder}/run`, out = `${folder}/samples`;
    const packed = new URL("../fixtures/net2net/net2net.ckpt.gz", import.meta.url);
    await Deno.writeFile(path, gunzipSync(await Deno.readFile(packed)));
    const images = ["--data.name", "shapes", "--data.size", "8"];
    const flags = ["--out", run, ...images, "--model.heads", "2", "--json"];
    const imported = await runTask("import", [path, ...flags]);
    assert.equal(imported.code, 0, imported.stderr);
    assert.equal(lastLine(imported.stdout).stage1, `${run}/first-stage`);
    const device = ["--device", "reference"];
    const made = await runTask("sample", [run, ...device, "--count", "2", "--out", out, "--json"]);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(lastLine(made.stdout).images, 2);
  }));

Deno.test("a whole latent diffusion model is imported and sampled", () =>
  withFolder(async (folder) => {
    const url = (name: string) =>
      fileURLToPath(new URL(`../fixtures/ldm/${name}`, import.meta.url));
    const path = `${folder}/whole.ckpt`, run = `${folder}/run`, out = `${folder}/samples`;
    await Deno.writeFile(path, gunzipSync(await Deno.readFile(url("whole.ckpt.gz"))));
    const config = ["--config", url("config.yaml")];
    const imported = await runTask("import", [path, "--out", run, ...config, "--json"]);
    assert.equal(imported.code, 0, imported.stderr);
    const { kind, stage1 } = lastLine(imported.stdout);
    assert.deepEqual([kind, stage1], ["LDM", `${run}/first-stage`]);
    const flags = ["--count", "3", "--steps", "4", "--class", "2", "--device", "cpu", "--trace"];
    const made = await runTask("sample", [run, ...flags, "--out", out]);
    assert.equal(made.code, 0, made.stderr);
    const { width, height } = decode(await Deno.readFile(`${out}/2.png`));
    assert.deepEqual([width, height], [8, 8]);
    const judged = await runTask("evaluate", [run, "--device", "cpu"]);
    assert.notEqual(judged.code, 0);
    assert.match(judged.stderr, /data set must have images, got unknown/);
    assert.doesNotMatch(judged.stderr, /not expected/);
    const wrong = await runTask("import", [path, "--config", `${folder}/none.yaml`]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--config must name a YAML file that can be read/);
  }));

Deno.test("weights that cannot be imported are rejected with exit code 2", () =>
  withFolder(async (folder) => {
    const text = `${folder}/text.ckpt`;
    await Deno.writeTextFile(text, "no weights");
    const out = ["--out", `${folder}/run`];
    const refused = await runTask("import", [text, ...out]);
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^Cannot read .*text\.ckpt: it must be a PyTorch file, got another kind/,
    );
    await assert.rejects(Deno.stat(`${folder}/run`), Deno.errors.NotFound);
    const unknown = await runTask("import", [text, "--model.kind", "x"]);
    assert.equal(unknown.code, 2);
    const missing = await runTask("export", [`${folder}/none`]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /^Cannot open .*none: the folder must hold a run, got none/);
  }));
