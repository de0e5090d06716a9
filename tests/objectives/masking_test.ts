/** Masking: what is learned and measured, and completions of every mask. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import type { FirstStage } from "../../models/first_stage.ts";
import { partKey } from "../../nn/initializers.ts";
import type { GenerateRequest } from "../../objectives/generator.ts";
import type { MaskingObjective } from "../../objectives/masking.ts";
import { drawMask } from "../../objectives/masks.ts";
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

const devices = await openTestDevices(), fast = devices.filter(({ name }) => name === "cpu");
const key = randomKey(11, "samples");
const LENGTH = 9;

async function withObjective(
  device: Device,
  options: Omit<SecondStageOptions, "type" | "stage1">,
  body: (objective: MaskingObjective, stage1: FirstStage) => Promise<void>,
): Promise<void> {
  using stage1 = await tinyFirstStage(device);
  const wanted = { type: "masking", stage1, model: { dropout: 0 }, ...options };
  using objective = makeObjective(device, wanted) as MaskingObjective;
  await body(objective, stage1);
}

const evaluate = (objective: MaskingObjective, batchSize = 5) => {
  const batches = evaluationBatches(stripes(), { split: "test", batchSize });
  return objective.evaluate("test", batches, { training: false, key });
};

testOnEach(
  devices,
  "training lowers the loss, and brings the bits below the entropy",
  async (device) => {
    await withObjective(device, {}, async (objective) => {
      const losses = await trainFor(objective, device, 80);
      assert.ok(Math.abs(losses[0] - Math.log(CODEBOOK_SIZE)) < 0.1, `${losses[0]} at the start`);
      const end = losses.slice(-5).reduce((a, b) => a + b) / 5;
      assert.ok(end < 0.8 * losses[0], `${losses[0]} became ${end}`);
      const { numbers, rankBy, better } = await evaluate(objective);
      assert.deepEqual([rankBy, better], ["maskedBits", "lower"]);
      assert.ok(Number(numbers.maskedBits) < Number(numbers.unigramBits));
    });
  },
);

testOnEach(
  devices,
  "bits are those of the masked codes and do not depend on the batch",
  async (device) => {
    await withObjective(device, {}, async (objective, stage1) => {
      await trainFor(objective, device, 5);
      const dataset = stripes(), count = dataset.sizes.test, { model } = objective;
      const all = Int32Array.from({ length: count }, (_, index) => index);
      const images = device.tensor(await dataset.images("test", all), [
        count,
        ...dataset.imageShape,
      ]);
      const codes = await stage1.encode(images).indices.integers();
      let bits = 0, hidden = 0;
      for (let image = 0; image < count; image++) {
        const own = codes.subarray(image * LENGTH, (image + 1) * LENGTH);
        const mask = drawMask(partKey(key, 1), image, LENGTH);
        const shown = own.map((code, at) => mask[at] === 1 ? CODEBOOK_SIZE : code);
        const labels = device.tensor(Int32Array.of(0), [1]);
        const features = model.forward({ labels, codes: device.tensor(shown, [1, LENGTH]) });
        const logits = await model.logits(features).floats();
        mask.forEach((one, at) => {
          if (one === 0) return;
          const line = logits.subarray((at + 1) * CODEBOOK_SIZE, (at + 2) * CODEBOOK_SIZE);
          const total = line.reduce((sum, logit) => sum + Math.exp(logit), 0);
          bits += (Math.log(total) - line[own[at]]) / Math.LN2;
          hidden++;
        });
      }
      for (const batchSize of [5, 12]) {
        const { numbers } = await evaluate(objective, batchSize);
        assert.ok(Math.abs(Number(numbers.maskedBits) - bits / hidden) < 1e-4);
        assert.equal(numbers.images, count);
      }
    });
  },
);

testOnEach(
  devices,
  "images do not depend on the batch, for any number of passes",
  async (device) => {
    await withObjective(device, { settings: { conditional: true } }, async (objective) => {
      await trainFor(objective, device, 10);
      const labels = Int32Array.of(0, 1, 1, 0, 1);
      for (const steps of [1, 3, 50]) {
        const settings = { steps, guidance: 1.5, topK: 7 };
        const request: GenerateRequest = { count: 5, key, labels, settings };
        const { codes, images } = await objective.generate(device, request);
        assert.ok(codes!.every((code) => code >= 0 && code < CODEBOOK_SIZE));
        assert.ok(images.every(Number.isFinite));
        const others = await objective.generate(device, { ...request, batchSize: 2 });
        assert.deepEqual(others.codes, codes, `${steps} passes`);
      }
    });
  },
);

testOnEach(devices, "images are completed for every mask, and known codes stay", async (device) => {
  await withObjective(device, {}, async (objective) => {
    await trainFor(objective, device, 10);
    const count = 2, request: GenerateRequest = { count, key, settings: { steps: 4 } };
    const { codes: drawn } = await objective.generate(device, request);
    const codes = Int32Array.from({ length: count * LENGTH }, (_, at) => (at * 5 + 3) % 8);
    const complete = async (known: (at: number) => boolean) => {
      const mask = Uint8Array.from({ length: count * LENGTH }, (_, at) => Number(known(at)));
      const { codes: all } = await objective.generate(device, {
        ...request,
        given: { codes, known: mask },
      });
      all!.forEach((code, at) => assert.ok(!known(at) || code === codes[at], `at ${at}`));
      return all;
    };
    await complete((at) => at % 2 === 1);
    await complete((at) => at % LENGTH > 5);
    assert.deepEqual(await complete(() => true), codes, "nothing is hidden");
    assert.deepEqual(await complete(() => false), drawn, "all is hidden");
  });
});

testOnEach(devices, "a code is known if all of its pixels are known", async (device) => {
  await withObjective(device, {}, async (objective, stage1) => {
    const dataset = stripes(), count = 2;
    const images = await dataset.images("test", Int32Array.of(3, 4));
    // All but one pixel at the bottom right of the first image; the top row of codes of the second.
    const pixels = Uint8Array.from(
      { length: count * 144 },
      (_, at) => Number(at < 144 ? at !== 143 : at < 144 + 4 * 12 + 5),
    );
    const { codes, known } = await objective.given(device, images, pixels);
    assert.deepEqual([...known], [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    const tensor = device.tensor(images, [count, ...dataset.imageShape]);
    assert.deepEqual(codes, await stage1.encode(tensor).indices.integers());
    await assert.rejects(objective.given(device, images, pixels.subarray(1)), {
      name: "RangeError",
      message:
        "Cannot complete images: whole images of 12×12×1 values and a mask of as many pixels " +
        "are needed, got 288 values and 287 pixels",
    });
  });
});

testOnEach(fast, "temperature 0 chooses the likeliest codes", async (device) => {
  await withObjective(device, {}, async (objective) => {
    await trainFor(objective, device, 10);
    const { model } = objective, settings = { temperature: 0, steps: 1 };
    const { codes } = await objective.generate(device, { count: 1, key, settings });
    const hidden = new Int32Array(LENGTH).fill(CODEBOOK_SIZE);
    const labels = device.tensor(Int32Array.of(0), [1]);
    const features = model.forward({ labels, codes: device.tensor(hidden, [1, LENGTH]) });
    const logits = await model.logits(features).floats();
    const likeliest = Array.from({ length: LENGTH }, (_, at) => {
      const own = logits.subarray((at + 1) * CODEBOOK_SIZE, (at + 2) * CODEBOOK_SIZE);
      return own.indexOf(Math.max(...own));
    });
    assert.deepEqual([...codes!], likeliest);
  });
});

testOnEach(devices, "invalid settings and requests are rejected", async (device) => {
  await withObjective(device, { settings: { conditional: true } }, async (objective) => {
    const labels = Int32Array.of(2);
    await assert.rejects(objective.generate(device, { count: 1, key, labels, settings: {} }), {
      name: "RangeError",
      message: "Cannot sample: a class must be in [0, 2), got 2",
    });
  });
  await withObjective(device, {}, async (objective) => {
    await assert.rejects(objective.generate(device, { count: 1, key, settings: { topK: 9 } }), {
      name: "RangeError",
      message: "Cannot sample: topK must be at most the 8 codes, got 9",
    });
  });
  using deep = await tinyFirstStage(device, 2);
  assert.throws(() => makeObjective(device, { type: "masking", stage1: deep }), {
    name: "RangeError",
    message:
      "Cannot make a masking model: the first stage must have one code per position, got [2]; " +
      "--objective.type residual-autoregression takes several",
  });
});
