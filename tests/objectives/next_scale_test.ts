/** Next-scale prediction, against the same computed without the cache. */
import assert from "node:assert/strict";
import { slice } from "../../core/functions/movement.ts";
import { withoutGradients } from "../../core/execute.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { SINGLE } from "../../nn/replicas.ts";
import { encodeExchanged } from "../../objectives/multi_scale_codes.ts";
import type { NextScaleObjective } from "../../objectives/next_scale.ts";
import { chooseCode, drawOf } from "../../objectives/samplers/choice.ts";
import { MultiScaleQuantizer } from "../../quantizers/multi_scale.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import {
  CODEBOOK_SIZE,
  makeObjective,
  type SecondStageOptions,
  stripes,
  tinyFirstStage,
  trainFor,
} from "./second_stage.ts";

const devices = await openTestDevices();
const key = randomKey(11, "samples");
const SCALES = [1, 2, 3], LENGTHS = [1, 4, 9], LENGTH = 14;

async function withObjective(
  device: Device,
  options: Omit<SecondStageOptions, "type" | "stage1">,
  body: (objective: NextScaleObjective, stage1: FirstStage) => Promise<void>,
  scales: readonly number[] = SCALES,
): Promise<void> {
  using stage1 = await tinyFirstStage(device, scales);
  const wanted = { type: "next-scale", stage1, model: { dropout: 0 }, ...options };
  using objective = makeObjective(device, wanted) as NextScaleObjective;
  await body(objective, stage1);
}

/** The logits of the scale after some codes of one image, from all of them at once. */
async function logitsAfter(
  { model }: NextScaleObjective,
  { network: { quantizer } }: FirstStage,
  label: number,
  codes: readonly number[],
): Promise<Float32Array> {
  const { device } = model.positions, count = codes.length;
  using _scope = device.scope();
  const features = withoutGradients(() =>
    model.forward({
      labels: device.tensor(Int32Array.of(label), [1]),
      sums: count === 0 ? undefined : (quantizer as MultiScaleQuantizer).before(
        device.tensor(Int32Array.from(codes), [1, count]),
      ),
    })
  );
  const own = features.shape[1] - count, width = features.shape[2];
  return await model.logits(slice(features, [0, count, 0], [1, own, width])).floats();
}

testOnEach(
  devices,
  "training lowers the loss, and brings the bits of every scale below its entropy",
  async (device) => {
    await withObjective(device, {}, async (objective) => {
      const losses = await trainFor(objective, device, 60);
      assert.ok(Math.abs(losses[0] - Math.log(CODEBOOK_SIZE)) < 0.1, `${losses[0]} at the start`);
      assert.ok(losses.at(-1)! < 0.7 * losses[0], `${losses[0]} became ${losses.at(-1)}`);
      const batches = evaluationBatches(stripes(), { split: "test", batchSize: 5 });
      const { numbers, series } = await objective.evaluate("test", batches, {
        training: false,
        key,
      });
      assert.ok(Number(numbers.bits) < Number(numbers.unigramBits));
      const { bitsOfPositions, bitsOfScales, unigramBitsOfScales } = series!;
      assert.deepEqual(Object.values(series!).map(({ length }) => length), [LENGTH, 3, 3]);
      let at = 0;
      for (const [scale, length] of LENGTHS.entries()) {
        const own = bitsOfPositions.slice(at, at += length);
        const mean = own.reduce((sum, bits) => sum + bits, 0) / length;
        assert.ok(Math.abs(bitsOfScales[scale] - mean) < 1e-6, `scale ${scale}`);
        assert.ok(unigramBitsOfScales[scale] <= Math.log2(CODEBOOK_SIZE));
      }
    });
  },
);

testOnEach(
  devices,
  "codes are drawn scale by scale and do not depend on the batch",
  async (device) => {
    await withObjective(device, { settings: { conditional: true } }, async (objective, stage1) => {
      await trainFor(objective, device, 6);
      const labels = Int32Array.of(0, 1, 1);
      for (const guidance of [1, 2]) {
        const settings = { topK: 6, topP: 0.9, temperature: 0.8, guidance };
        const request = { count: 3, key, labels, settings };
        const { codes, images, codeShape } = await objective.generate(device, request);
        assert.deepEqual(codeShape, [LENGTH]);
        assert.equal(images.length, 3 * 12 * 12);
        assert.ok(images.every(Number.isFinite));
        for (const [image, label] of labels.entries()) {
          const drawn: number[] = [];
          for (const length of LENGTHS) {
            const known = await logitsAfter(objective, stage1, label, drawn);
            const unknown = await logitsAfter(objective, stage1, 2, drawn);
            const logits = known.map((logit, at) => unknown[at] + guidance * (logit - unknown[at]));
            const first = drawn.length;
            for (let place = 0; place < length; place++) {
              const own = logits.subarray(place * CODEBOOK_SIZE, (place + 1) * CODEBOOK_SIZE);
              drawn.push(chooseCode(own, settings, drawOf(key, image, first + place).chance).code);
            }
          }
          assert.deepEqual([...codes!.subarray(image * LENGTH, (image + 1) * LENGTH)], drawn);
        }
        const others = await objective.generate(device, { ...request, batchSize: 2 });
        assert.deepEqual(others.codes, codes);
      }
    });
  },
);

testOnEach(
  devices,
  "temperature 0 chooses the likeliest codes, also with a single scale",
  async (device) => {
    await withObjective(device, {}, async (objective) => {
      await trainFor(objective, device, 3);
      const settings = { temperature: 0 };
      const { codes } = await objective.generate(device, { count: 2, key, settings });
      assert.deepEqual(codes!.subarray(0, 9), codes!.subarray(9));
    }, [3]);
  },
);

testOnEach(devices, "cached codes give the same losses as the images", async (device) => {
  const run = async (cache: string) => {
    let losses: number[] = [];
    await withObjective(device, { settings: { cache } }, async (objective) => {
      losses = await trainFor(objective, device, 3);
    });
    return losses;
  };
  assert.deepEqual(await run("images"), await run("none"));
});

testOnEach(
  devices,
  "exchanged codes are those of other images, and targets make up for them",
  async (device) => {
    using stage1 = await tinyFirstStage(device, SCALES);
    const images = device.tensor(await stripes().images("train", Int32Array.of(0, 1, 2, 3)), [
      ...[4, 12, 12, 1],
    ]);
    const encoded = async (most: number, images: Tensor) => {
      const options = { most, key, replicas: SINGLE };
      const { codes, exchanged } = encodeExchanged(stage1, images, options);
      return { codes: await codes.integers(), exchanged: await exchanged.integers() };
    };
    const plain = await stage1.encode(images).indices.integers();
    assert.deepEqual(await encoded(0, images), { codes: plain, exchanged: plain });
    const { codes, exchanged } = await encoded(1, images);
    assert.deepEqual(codes.slice(0, 1), plain.slice(0, 1), "the coarsest code has none before it");
    const changed = exchanged.reduce((sum, code, at) => sum + Number(code !== codes[at]), 0);
    assert.ok(changed > 0 && changed < codes.length, `${changed} of ${codes.length}`);
    let at = 0;
    for (const [scale, length] of LENGTHS.entries()) {
      for (let place = 0; place < 4 * length; place++) {
        const image = Math.floor(place / length), other = (image + scale + 1) % 4;
        const position = at + place % length, code = exchanged[image * LENGTH + position];
        const possible = [image, other].map((image) => codes[image * LENGTH + position]);
        assert.ok(possible.includes(code), `image ${image}, position ${position}`);
      }
      at += length;
    }
    await withObjective(device, { settings: { exchange: 0.5 } }, async (objective) => {
      const losses = await trainFor(objective, device, 60);
      assert.ok(losses.at(-1)! < 0.85 * losses[0], `${losses[0]} became ${losses.at(-1)}`);
    });
  },
);

Deno.test("invalid settings are rejected", async () => {
  const [device] = devices;
  const refused = (make: () => unknown, message: string) =>
    assert.throws(make, { name: "RangeError", message });
  for (const codes of [undefined, 2]) {
    using other = await tinyFirstStage(device, codes);
    refused(
      () => makeObjective(device, { type: "next-scale", stage1: other }),
      "Cannot make a next-scale model: the first stage must have a multi-scale quantizer with one code per position " +
        "(--quantizer.type multi-scale), got another",
    );
  }
  using stage1 = await tinyFirstStage(device, SCALES);
  const others = {
    "autoregression": "an autoregressive model",
    "masking": "a masking model",
    "residual-autoregression": "a residual autoregressive model",
  };
  for (const [type, what] of Object.entries(others)) {
    refused(
      () => makeObjective(device, { type, stage1 }),
      `Cannot make ${what}: each position must have its own codes, got a first stage with codes that cover whole grids; ` +
        "--objective.type next-scale takes those of a multi-scale quantizer",
    );
  }
  refused(
    () =>
      makeObjective(device, {
        type: "next-scale",
        stage1,
        settings: { exchange: 0.5, cache: "images" },
      }),
    "Cannot exchange codes: objective.cache must be none, because every step encodes images anew, got images",
  );
  const inner = (key: RandomKey) => new VanillaQuantizer(device, { codebookDim: 4, key });
  const quantizer = new MultiScaleQuantizer(device, { inner, scales: [1, 2], key });
  using network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
  refused(
    () => makeObjective(device, { type: "next-scale", stage1: new FirstStage(network, key) }),
    "Cannot make codes: the images must be 8×8, as the first stage has codes that cover whole grids of that size, got 12×12",
  );
  await withObjective(device, {}, async (objective) => {
    const rejected = (run: Promise<unknown>, message: string) =>
      assert.rejects(run, { name: "RangeError", message });
    await rejected(
      objective.generate(device, { count: 1, key, settings: { topK: 9 } }),
      "Cannot sample: topK must be at most the 8 codes, got 9",
    );
    const codes = new Int32Array(LENGTH), known = new Uint8Array(9);
    const message =
      "Cannot complete images: each position must have its own codes, got codes that cover whole grids";
    await rejected(
      objective.generate(device, { count: 1, key, settings: {}, given: { codes, known } }),
      message,
    );
    await rejected(objective.given(device, new Float32Array(144), new Uint8Array(144)), message);
  });
});
