/** ImageBART: the bound that is measured, and the codes that are drawn, against the same computed without the cache. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import type { FirstStage } from "../../models/first_stage.ts";
import { partKey } from "../../nn/initializers.ts";
import { MultinomialDiffusion } from "../../objectives/diffusion/multinomial.ts";
import type { GenerateRequest } from "../../objectives/generator.ts";
import type { ImageBartObjective } from "../../objectives/imagebart.ts";
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

const devices = await openTestDevices();
const [reference] = devices, fast = devices.filter(({ name }) => name === "cpu");
const key = randomKey(11, "samples");
const LENGTH = 9;

async function withObjective(
  device: Device,
  options: Omit<SecondStageOptions, "type" | "stage1">,
  body: (objective: ImageBartObjective, stage1: FirstStage) => Promise<void>,
): Promise<void> {
  using stage1 = await tinyFirstStage(device);
  const model = { dropout: 0, layers: 1, encoderLayers: 1 };
  const wanted = { type: "imagebart", stage1, model, ...options };
  using objective = makeObjective(device, wanted) as ImageBartObjective;
  await body(objective, stage1);
}

const evaluate = (objective: ImageBartObjective, batchSize = 5) => {
  const batches = evaluationBatches(stripes(), { split: "test", batchSize });
  return objective.evaluate("test", batches, { training: false, key });
};

/** The logits of all codes before a step, from those before each and the noisy ones of one image: `[codes + 1][K]`. */
async function logitsOf(
  { model }: ImageBartObjective,
  t: number,
  label: number,
  codes: readonly number[],
  noisy: readonly number[],
): Promise<Float32Array[]> {
  const step = model.steps[t - 1], { device } = step.tokens;
  using _scope = device.scope();
  const memory = step.encode(device.tensor(Int32Array.from(noisy), [1, LENGTH]));
  const labels = device.tensor(Int32Array.of(label), [1]);
  const shown = codes.length === 0
    ? undefined
    : device.tensor(Int32Array.from(codes), [1, codes.length]);
  const features = step.decode({ labels, codes: shown, memory });
  const all = await step.decoder.logits(features).floats();
  return Array.from(
    { length: codes.length + 1 },
    (_, at) => all.subarray(at * CODEBOOK_SIZE, (at + 1) * CODEBOOK_SIZE),
  );
}

function logSoftmax(logits: Float32Array): number[] {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return Array.from(logits, (logit) => logit - Math.log(total));
}

testOnEach(fast, "training brings the bound below the entropy", async (device) => {
  await withObjective(device, { settings: { steps: 2 } }, async (objective) => {
    const losses = await trainFor(objective, device, 60);
    assert.ok(losses.at(-1)! < 0.75 * losses[0], `${losses[0]} became ${losses.at(-1)}`);
    const { numbers, rankBy, better } = await evaluate(objective);
    assert.deepEqual([rankBy, better], ["boundBits", "lower"]);
    assert.ok(Number(numbers.boundBits) < Number(numbers.unigramBits), JSON.stringify(numbers));
  });
});

for (const steps of [1, 3]) {
  testOnEach(
    devices,
    `the bound over ${steps} steps is the sum of the divergences`,
    async (device) => {
      const settings = { conditional: true, smoothing: 0.3, steps };
      await withObjective(device, { settings }, async (objective, stage1) => {
        await trainFor(objective, device, 4);
        const dataset = stripes(), count = dataset.sizes.test;
        const all = Int32Array.from({ length: count }, (_, index) => index);
        const images = await dataset.images("test", all);
        const tensor = device.tensor(images, [count, ...dataset.imageShape]);
        const codes = await stage1.encode(tensor).indices.integers();
        const diffusion = new MultinomialDiffusion({ steps, codebookSize: CODEBOOK_SIZE });
        let nats = 0;
        for (let image = 0; image < count; image++) {
          const original = [...codes.subarray(image * LENGTH, (image + 1) * LENGTH)];
          const range = { count: 1, length: LENGTH, first: image, key: partKey(key, 1) };
          let before = original;
          for (let t = 1; t <= steps; t++) {
            const after = [...diffusion.noise(Int32Array.from(before), t, range)];
            const label = dataset.labels!.test[image];
            const logits = await logitsOf(objective, t, label, before.slice(0, -1), after);
            original.forEach((own, at) => {
              const p = logSoftmax(logits[at]), isSame = own === after[at];
              const { original, noisy, uniform } = diffusion.posterior(t, isSame);
              for (let code = 0; code < CODEBOOK_SIZE; code++) {
                const q = (code === own ? original : 0) + (code === after[at] ? noisy : 0) +
                  uniform / CODEBOOK_SIZE;
                if (q > 0) nats += q * (Math.log(q) - p[code]);
              }
            });
            before = after;
          }
        }
        const mean = nats / Math.LN2 / count / LENGTH;
        for (const batchSize of [5, 12]) {
          const { numbers, series } = await evaluate(objective, batchSize);
          assert.ok(Math.abs(Number(numbers.boundBits) - mean) < 1e-4, `${numbers.boundBits}`);
          const places = series!.boundBitsOfPositions;
          assert.ok(Math.abs(places.reduce((a, b) => a + b) / LENGTH - mean) < 1e-4);
        }
      });
    },
  );
}

testOnEach(fast, "smoothing spreads a share of every target", async (device) => {
  const first = async (smoothing: number) => {
    let loss = 0;
    await withObjective(device, { settings: { smoothing } }, async (objective) => {
      [loss] = await trainFor(objective, device, 1);
    });
    return loss;
  };
  const plain = await first(0), all = await first(1), half = await first(0.5);
  assert.ok(Math.abs(half - (plain + all) / 2) < 1e-5, `${plain}, ${half}, ${all}`);
});

testOnEach(
  devices,
  "codes are drawn step by step and do not depend on the batch",
  async (device) => {
    const settings = { conditional: true, steps: 2 };
    await withObjective(device, { settings }, async (objective) => {
      await trainFor(objective, device, 8);
      const diffusion = new MultinomialDiffusion({ steps: 2, codebookSize: CODEBOOK_SIZE });
      const labels = Int32Array.of(0, 1, 1), guidance = 1.5;
      const choice = { temperature: 1.2, topK: 6, topP: 0.95 };
      const request = { count: 3, key, labels, settings: { ...choice, guidance } };
      const { codes, images, codeShape } = await objective.generate(device, request);
      assert.deepEqual(codeShape, [3, 3]);
      assert.ok(images.every(Number.isFinite));
      for (const [image, label] of labels.entries()) {
        const range = { count: 1, length: LENGTH, first: image, key: partKey(key, 0) };
        let noisy = [...diffusion.replacements(2, range)];
        for (const t of [2, 1]) {
          const drawn: number[] = [];
          while (drawn.length < LENGTH) {
            const told = (label: number) => logitsOf(objective, t, label, drawn, noisy);
            const [known, unknown] = [(await told(label)).at(-1)!, (await told(2)).at(-1)!];
            const logits = known.map((logit, at) => unknown[at] + guidance * (logit - unknown[at]));
            const { chance } = drawOf(partKey(key, t), image, drawn.length);
            drawn.push(chooseCode(logits, choice, chance).code);
          }
          noisy = drawn;
        }
        assert.deepEqual([...codes!.subarray(image * LENGTH, (image + 1) * LENGTH)], noisy);
      }
      for (const batchSize of [1, 2]) {
        const other = await objective.generate(device, { ...request, batchSize });
        assert.deepEqual(other.codes, codes, `in batches of ${batchSize}`);
      }
    });
  },
);

testOnEach(fast, "temperature 0 chooses the likeliest codes", async (device) => {
  await withObjective(device, { settings: { steps: 1 } }, async (objective) => {
    await trainFor(objective, device, 8);
    const request = { count: 1, key, settings: { temperature: 0 } };
    const { codes } = await objective.generate(device, request);
    const diffusion = new MultinomialDiffusion({ steps: 1, codebookSize: CODEBOOK_SIZE });
    const range = { count: 1, length: LENGTH, first: 0, key: partKey(key, 0) };
    const noisy = [...diffusion.replacements(1, range)], drawn: number[] = [];
    while (drawn.length < LENGTH) {
      const logits = (await logitsOf(objective, 1, 0, drawn, noisy)).at(-1)!;
      drawn.push(logits.indexOf(Math.max(...logits)));
    }
    assert.deepEqual([...codes!], drawn);
  });
});

testOnEach(devices, "images are completed for every mask, and known codes stay", async (device) => {
  await withObjective(device, { settings: { steps: 2 } }, async (objective) => {
    await trainFor(objective, device, 8);
    const count = 2, request: GenerateRequest = { count, key, settings: {} };
    const { codes: drawn } = await objective.generate(device, request);
    const codes = Int32Array.from({ length: count * LENGTH }, (_, at) => (at * 5 + 3) % 8);
    const complete = async (known: (at: number) => boolean, batchSize = count) => {
      const mask = Uint8Array.from({ length: count * LENGTH }, (_, at) => Number(known(at)));
      const given = { codes, known: mask };
      const { codes: all } = await objective.generate(device, { ...request, given, batchSize });
      all!.forEach((code, at) => assert.ok(!known(at) || code === codes[at], `at ${at}`));
      return all;
    };
    const odd = await complete((at) => at % 2 === 1);
    assert.deepEqual(await complete((at) => at % 2 === 1, 1), odd, "one at a time");
    await complete((at) => at % LENGTH > 5);
    assert.deepEqual(await complete(() => true), codes, "nothing is hidden");
    assert.deepEqual(await complete(() => false), drawn, "all is hidden");
  });
});

testOnEach(fast, "known codes at later positions change earlier ones", async (device) => {
  await withObjective(device, { settings: { steps: 2 } }, async (objective) => {
    await trainFor(objective, device, 30);
    const count = 32,
      known = new Uint8Array(count * LENGTH).map((_, at) => Number(at % LENGTH > 3));
    const first = async (code: number) => {
      const given = { codes: new Int32Array(count * LENGTH).fill(code), known };
      const { codes } = await objective.generate(device, { count, key, settings: {}, given });
      return codes!.filter((_, at) => at % LENGTH <= 3);
    };
    assert.notDeepEqual(await first(1), await first(6));
  });
});

testOnEach([reference], "progress never decreases, and a signal stops the work", async (device) => {
  await withObjective(device, {}, async (objective) => {
    const done: number[] = [];
    const onProgress = (images: number) => done.push(images);
    await objective.generate(device, { count: 3, key, settings: {}, batchSize: 2, onProgress });
    assert.equal(done.at(-1), 3);
    assert.deepEqual(done, done.toSorted((a, b) => a - b));
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(
      objective.generate(device, { count: 1, key, settings: {}, signal }),
      /enough/,
    );
  });
});

testOnEach([reference], "invalid settings and requests are rejected", async (device) => {
  const refused = (work: Promise<unknown>, message: string) =>
    assert.rejects(work, { name: "RangeError", message });
  await withObjective(device, { settings: { conditional: true } }, async (objective) => {
    const generate = (request: Partial<GenerateRequest>) =>
      objective.generate(device, { count: 1, key, settings: {}, ...request });
    await refused(
      generate({ settings: { topK: 9 } }),
      "Cannot sample: topK must be at most the 8 codes, got 9",
    );
    await refused(
      generate({ labels: Int32Array.of(2) }),
      "Cannot sample: a class must be in [0, 2), got 2",
    );
  });
  using deep = await tinyFirstStage(device, 2);
  assert.throws(() => makeObjective(device, { type: "imagebart", stage1: deep }), {
    name: "RangeError",
    message:
      "Cannot make an ImageBART: the first stage must have one code per position, got [2]; " +
      "--objective.type residual-autoregression takes several",
  });
});
