import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { drawModelCard } from "../../reports/model_card.ts";
import { withoutPlaces } from "../../training/identity.ts";
import { writeModelFolder } from "../../training/model_folder.ts";
import { openRun } from "../../training/open_run.ts";
import { resolveConfig } from "../../training/resolve.ts";
import { makeRun } from "../training/made_run.ts";
import { withFolder } from "../training/tiny.ts";

const QUANTIZER = { type: "ema", codebookSize: 8, codebookDim: 4 };

for (const state of ["trained", "averaged"] as const) {
  Deno.test(`an exported folder with ${state} weights opens as a run with the same codes`, () =>
    withFolder(async (path) => {
      await makeRun(`${path}/run`, QUANTIZER, 3, state);
      await Deno.mkdir(`${path}/run/samples`);
      await Deno.writeTextFile(`${path}/run/samples/epoch-009.png`, "nine");
      await Deno.writeTextFile(`${path}/run/samples/epoch-010.png`, "ten");
      using device = await openDevice("reference");
      using run = await openRun(`${path}/run`, device);
      const picture = await writeModelFolder(`${path}/run`, run, `${path}/out`);
      assert.equal(picture, "samples.png");
      assert.equal(await Deno.readTextFile(`${path}/out/samples.png`), "ten");
      assert.deepEqual([...Deno.readDirSync(`${path}/out`)].map(({ name }) => name).sort(), [
        ...["config.json", "model.safetensors", "samples.png"],
      ]);
      using again = await openRun(`${path}/out`, device);
      assert.equal(again.identity, run.identity);
    }));
}

Deno.test("an exported configuration names no folder of this machine", () => {
  const path = "/home/me/images";
  const flags = {
    out: "/home/me/runs/a",
    data: { name: "image-folder", path },
  };
  const config = withoutPlaces(resolveConfig({ flags }));
  assert.doesNotMatch(JSON.stringify(config), /home/);
  assert.equal(config.out, "a");
  assert.doesNotThrow(() => resolveConfig({ saved: config }));
});

Deno.test("names on a card are plain text, neither markup nor metadata", () => {
  const card = drawModelCard({
    name: 'a"\n- b | <script>',
    config: resolveConfig(),
    model: { channels: 1, downsampling: 4 },
    ...{ identity: "0123", evaluated: [], picture: null, license: "mit\nevil: 1" },
    summary: {
      ...{ steps: 1, device: "cpu", imagesPerSecond: null },
      test: { mse: 0, psnr: Infinity, usage: 1, perplexity: 2, protocol: "aa" },
      protocols: {
        aa: {
          ...{ dataset: "digits", split: "test", images: 6, imageShape: [8, 8, 1] },
          ...{ valueRange: [-1, 1], metrics: {} },
        },
      },
    },
  });
  const [, metadata, body] = card.split(/^---$/m);
  assert.match(metadata, /^license: "mit\\nevil: 1"$/m);
  assert.match(metadata, /^- name: "a\\"\\n- b \| <script>"$/m);
  assert.doesNotMatch(metadata, /Infinity|psnr/, "YAML of hubs has no infinity");
  assert.match(body, /^# a" - b \\\| \\<script>$/m);
  assert.match(body, /\| PSNR \(dB\), unclipped \| Infinity \| `aa` \|/);
});
