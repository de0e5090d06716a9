/** Every transformer's preset on the codes of emoji, which are in colour and 8×8 an image. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { openDataset } from "../../data/registry.ts";
import { FirstStage } from "../../models/first_stage.ts";
import type { Generator } from "../../objectives/generator.ts";
import { constructAutoencoder } from "../../objectives/reconstruction_kind.ts";
import type { QuantizerConfig } from "../../quantizers/registry.ts";
import { constructObjective } from "../../training/construct.ts";
import { PRESETS } from "../../training/presets.ts";
import { resolveConfig } from "../../training/resolve.ts";

const INNER = { type: "vanilla", codebookSize: 16, codebookDim: 4 };

/** The quantiser that each preset stands on, and the shape of the codes of an image. */
const TRANSFORMERS: Readonly<
  Record<string, readonly [quantizer: QuantizerConfig, codes: number[]]>
> = {
  "gpt": [INNER, [8, 8]],
  "maskgit": [INNER, [8, 8]],
  "rq-transformer": [{ type: "residual", depth: 2, inner: INNER }, [8, 8, 2]],
  "imagebart": [INNER, [8, 8]],
  "var": [{ type: "multi-scale", scales: [1, 2, 4, 8], inner: INNER }, [1 + 4 + 16 + 64]],
};
const BATCH = 4;

const device = await openDevice("cpu", { blas: "off" }), dataset = await openDataset("emoji");
Deno.test.afterAll(() => device.close());

Deno.test("every preset that generates codes is tested", () => {
  const standing = [...PRESETS].filter(([, { objective }]) => {
    const { type = "" } = (objective ?? {}) as { readonly type?: string };
    return !["", "adversarial", "diffusion", "latent-diffusion"].includes(type);
  });
  assert.deepEqual(standing.map(([name]) => name), Object.keys(TRANSFORMERS));
});

for (const [preset, [quantizer, codes]] of Object.entries(TRANSFORMERS)) {
  Deno.test(`${preset} trains on emoji and generates some`, async () => {
    using _scope = device.scope();
    const key = randomKey(1, "emoji");
    const below = { type: "vqvae", hidden: 8, residualHidden: 4 };
    const network = constructAutoencoder(device, { seed: 1, model: below, quantizer, channels: 3 });
    const config = resolveConfig({
      flags: {
        ...{ preset, stage1: "a run of emoji", data: { name: "emoji" } },
        objective: { cache: "none" },
        model: { width: 8, layers: 1, heads: 2 },
      },
    });
    const stage1 = new FirstStage(network, key);
    const objective = await constructObjective(config, device, dataset, stage1) as Generator;
    const images = await dataset.images("train", Int32Array.from({ length: BATCH }, (_, i) => i));
    const batch = { images: device.tensor(images, [BATCH, ...dataset.imageShape]) };
    const before = await objective.model.parameters()[0].floats();
    const { loss } = objective.step(batch, { training: true, key, step: 0 });
    assert.ok(Number.isFinite(await loss.item()));
    assert.notDeepEqual(await objective.model.parameters()[0].floats(), before);
    const made = await objective.generate(device, { count: 1, key, settings: {} });
    assert.deepEqual(made.codeShape, codes);
    assert.equal(made.images.length, 32 * 32 * 3);
    assert.ok(made.images.every(Number.isFinite));
  });
}
