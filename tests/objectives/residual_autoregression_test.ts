/** Autoregression over several codes a position, against the same computed without the caches. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import type { GenerateRequest } from "../../objectives/generator.ts";
import type { ResidualAutoregressionObjective } from "../../objectives/residual_autoregression.ts";
import { chooseCode, drawOf } from "../../objectives/samplers/choice.ts";
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
const POSITIONS = 9;

async function withObjective(
  device: Device,
  depth: number | undefined,
  options: Omit<SecondStageOptions, "type" | "stage1">,
  body: (objective: ResidualAutoregressionObjective) => Promise<void>,
): Promise<void> {
  using stage1 = await tinyFirstStage(device, depth);
  const model = { dropout: 0, depthLayers: 1 };
  const wanted = { type: "residual-autoregression", stage1, model, ...options };
  using objective = makeObjective(device, wanted) as ResidualAutoregressionObjective;
  await body(objective);
}

/** The logits of the code at a place of one image, from all codes before it. */
async function logitsAt(
  { model }: ResidualAutoregressionObjective,
  label: number,
  codes: readonly number[],
): Promise<Float32Array> {
  const { tokens: { device }, depth } = model;
  using _scope = device.scope();
  const all = new Int32Array(POSITIONS * depth);
  all.set(codes);
  const labels = device.tensor(Int32Array.of(label), [1]);
  const features = model.forward(labels, device.tensor(all, [1, POSITIONS, depth]));
  const logits = await model.logits(features).floats();
  return logits.subarray(codes.length * CODEBOOK_SIZE, (codes.length + 1) * CODEBOOK_SIZE);
}

testOnEach(
  devices,
  "training lowers the loss, and brings the bits below the entropies",
  async (device) => {
    await withObjective(device, 2, {}, async (objective) => {
      const losses = await trainFor(objective, device, 60);
      assert.ok(Math.abs(losses[0] - Math.log(CODEBOOK_SIZE)) < 0.1, `${losses[0]} at the start`);
      assert.ok(losses.at(-1)! < 0.7 * losses[0], `${losses[0]} became ${losses.at(-1)}`);
      const batches = evaluationBatches(stripes(), { split: "test", batchSize: 5 });
      const { numbers, series } = await objective.evaluate("test", batches, {
        training: false,
        key,
      });
      assert.ok(Number(numbers.bits) < Number(numbers.unigramBits));
      assert.equal(series!.bitsOfPositions.length, 2 * POSITIONS);
    });
  },
);

for (const depth of [undefined, 1, 3]) {
  const codes = depth === undefined ? "one code" : `${depth} in an axis of their own`;
  testOnEach(
    devices,
    `codes are drawn in order and do not depend on the batch: ${codes}`,
    async (device) => {
      await withObjective(device, depth, { settings: { conditional: true } }, async (objective) => {
        await trainFor(objective, device, 6);
        const labels = Int32Array.of(0, 1, 1), length = POSITIONS * (depth ?? 1);
        for (const guidance of [1, 2]) {
          const settings = { topK: 6, guidance };
          const request = { count: 3, key, labels, settings };
          const { codes, images, codeShape } = await objective.generate(device, request);
          assert.deepEqual(codeShape, depth === undefined ? [3, 3] : [3, 3, depth]);
          assert.ok(images.every(Number.isFinite));
          const choice = { temperature: 1, topK: 6, topP: null };
          for (const [image, label] of labels.entries()) {
            const drawn: number[] = [];
            while (drawn.length < length) {
              const known = await logitsAt(objective, label, drawn);
              const unknown = await logitsAt(objective, 2, drawn);
              const logits = known.map((logit, at) =>
                unknown[at] + guidance * (logit - unknown[at])
              );
              const { chance } = drawOf(key, image, drawn.length);
              drawn.push(chooseCode(logits, choice, chance).code);
            }
            assert.deepEqual([...codes!.subarray(image * length, (image + 1) * length)], drawn);
          }
          const others = await objective.generate(device, { ...request, batchSize: 2 });
          assert.deepEqual(others.codes, codes);
        }
      });
    },
  );
}

testOnEach(devices, "known codes stay, and the others are conditioned on them", async (device) => {
  await withObjective(device, 2, {}, async (objective) => {
    await trainFor(objective, device, 6);
    const length = 2 * POSITIONS, count = 2, request = { count, key, settings: {} };
    const codes = Int32Array.from({ length: count * length }, (_, at) => (at * 5 + 3) % 8);
    const complete = async (positions: readonly number[]) => {
      const known = Uint8Array.from(
        { length: count * POSITIONS },
        (_, at) => Number(at % POSITIONS < positions[Math.floor(at / POSITIONS)]),
      );
      return (await objective.generate(device, { ...request, given: { codes, known } })).codes!;
    };
    const completed = await complete([4, 6]);
    for (const [image, positions] of [4, 6].entries()) {
      const drawn = [...codes.subarray(image * length, image * length + 2 * positions)];
      while (drawn.length < length) {
        const logits = await logitsAt(objective, 0, drawn);
        const { chance } = drawOf(key, image, drawn.length);
        drawn.push(chooseCode(logits, { temperature: 1, topK: null, topP: null }, chance).code);
      }
      assert.deepEqual([...completed.subarray(image * length, (image + 1) * length)], drawn);
    }
    assert.deepEqual(await complete([9, 9]), codes);
    const { codes: plain } = await objective.generate(device, request);
    assert.deepEqual(await complete([0, 0]), plain);
  });
});

testOnEach(
  devices,
  "soft targets: near codes are drawn, and the nearest one as τ decreases",
  async (device) => {
    const lossesWith = async (softening: number) => {
      let losses: number[] = [];
      await withObjective(device, 2, { settings: { softening } }, async (objective) => {
        losses = await trainFor(objective, device, 12);
      });
      return losses;
    };
    const hard = await lossesWith(0), soft = await lossesWith(0.3), sharp = await lossesWith(1e-6);
    sharp.forEach((loss, step) => assert.ok(Math.abs(loss - hard[step]) < 1e-3, `step ${step}`));
    assert.ok(soft.some((loss, step) => Math.abs(loss - hard[step]) > 1e-2));
    assert.ok(soft.at(-1)! < soft[0], `${soft[0]} became ${soft.at(-1)}`);
  },
);

testOnEach(fast, "temperature 0 chooses the likeliest codes", async (device) => {
  await withObjective(device, 2, {}, async (objective) => {
    await trainFor(objective, device, 6);
    const { codes } = await objective.generate(device, {
      ...{ count: 1, key, settings: { temperature: 0 } },
    });
    const drawn: number[] = [];
    while (drawn.length < 2 * POSITIONS) {
      const logits = await logitsAt(objective, 0, drawn);
      drawn.push(logits.indexOf(Math.max(...logits)));
    }
    assert.deepEqual([...codes!], drawn);
  });
});

testOnEach(fast, "codes and classes that do not exist are rejected", async (device) => {
  await withObjective(device, 2, { settings: { conditional: true } }, async (objective) => {
    const refused = (request: Partial<GenerateRequest>, message: string) =>
      assert.rejects(objective.generate(device, { count: 1, key, settings: {}, ...request }), {
        name: "RangeError",
        message,
      });
    await refused(
      { settings: { topK: 9 } },
      "Cannot sample: topK must be at most the 8 codes, got 9",
    );
    await refused({ labels: Int32Array.of(2) }, "Cannot sample: a class must be in [0, 2), got 2");
  });
});

testOnEach(devices, "invalid soft targets are rejected", async (device) => {
  const make = async (depth: number | undefined, settings: Record<string, unknown>) =>
    await withObjective(device, depth, { settings }, () => Promise.resolve());
  await assert.rejects(make(undefined, { softening: 0.5 }), {
    name: "RangeError",
    message:
      "Cannot soften targets: the first stage must be a residual quantizer with one codebook " +
      "for all levels, got another",
  });
  await assert.rejects(make(2, { softening: 0.5, cache: "images" }), {
    name: "RangeError",
    message:
      "Cannot soften targets: objective.cache must be none, because every step samples new codes, " +
      "got images",
  });
});
