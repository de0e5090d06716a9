/** Autoregression: what is learned, measured and drawn, against the same computed without the cache. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { evaluationBatches } from "../../data/batches.ts";
import type { FirstStage } from "../../models/first_stage.ts";
import type { AutoregressionObjective } from "../../objectives/autoregression.ts";
import type { GenerateRequest } from "../../objectives/generator.ts";
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
const key = randomKey(11, "samples");
const LENGTH = 9;

type Options = Omit<SecondStageOptions, "type" | "stage1">;

/** Runs a body with an objective on a first stage. */
async function withObjective(
  device: Device,
  options: Options,
  body: (objective: AutoregressionObjective, stage1: FirstStage) => Promise<void>,
): Promise<void> {
  using stage1 = await tinyFirstStage(device);
  using objective = makeObjective(device, {
    type: "autoregression",
    stage1,
    ...options,
  }) as AutoregressionObjective;
  await body(objective, stage1);
}

const evaluate = (objective: AutoregressionObjective) => {
  const batches = evaluationBatches(stripes(), { split: "test", batchSize: 5 });
  return objective.evaluate("test", batches, { training: false, key });
};

const NO_DROPOUT = { dropout: 0 };
const SHARP = { temperature: 1, topK: null, topP: null };

/** The logits of the next code after some codes of one image, without a cache. */
async function logitsAfter(
  { model }: AutoregressionObjective,
  label: number,
  codes: readonly number[],
): Promise<Float32Array> {
  const { tokens: { device } } = model;
  using _scope = device.scope();
  const shown: Tensor | undefined = codes.length === 0
    ? undefined
    : device.tensor(Int32Array.from(codes), [1, codes.length]);
  const labels = device.tensor(Int32Array.of(label), [1]);
  const logits = await model.logits(model.forward({ labels, codes: shown })).floats();
  return logits.subarray(logits.length - CODEBOOK_SIZE);
}

testOnEach(
  devices,
  "training lowers the loss, and brings the bits below the entropies",
  async (device) => {
    await withObjective(device, { model: { dropout: 0.05 } }, async (objective) => {
      const losses = await trainFor(objective, device, 60);
      assert.ok(Math.abs(losses[0] - Math.log(CODEBOOK_SIZE)) < 0.1, `${losses[0]} at the start`);
      assert.ok(losses.at(-1)! < 0.6 * losses[0], `${losses[0]} became ${losses.at(-1)}`);
      const { numbers, rankBy, better } = await evaluate(objective);
      assert.deepEqual([rankBy, better], ["bits", "lower"]);
      assert.ok(Number(numbers.bits) < Number(numbers.unigramBits));
      assert.ok(Number(numbers.positionBits) < Number(numbers.unigramBits));
    });
  },
);

testOnEach(
  devices,
  "bits are computed from the probabilities at every position",
  async (device) => {
    const settings = { conditional: true, smoothing: 0.3 };
    await withObjective(device, { model: NO_DROPOUT, settings }, async (objective, stage1) => {
      await trainFor(objective, device, 5);
      const dataset = stripes(), count = dataset.sizes.test;
      const all = Int32Array.from({ length: count }, (_, index) => index);
      const images = device.tensor(await dataset.images("test", all), [
        count,
        ...dataset.imageShape,
      ]);
      const codes = [...await stage1.encode(images).indices.integers()];
      const bits = new Array<number>(LENGTH).fill(0);
      for (let image = 0; image < count; image++) {
        const own = codes.slice(image * LENGTH, (image + 1) * LENGTH);
        const label = dataset.labels!.test[image];
        for (let at = 0; at < LENGTH; at++) {
          const logits = await logitsAfter(objective, label, own.slice(0, at));
          bits[at] -= logSoftmax(logits)[own[at]] / Math.LN2 / count;
        }
      }
      const { numbers, series, protocols, protocol } = await evaluate(objective);
      const mean = bits.reduce((a, b) => a + b) / LENGTH;
      assert.ok(Math.abs(Number(numbers.bits) - mean) < 1e-4, `${numbers.bits} and ${mean}`);
      series!.bitsOfPositions.forEach((own, at) => assert.ok(Math.abs(own - bits[at]) < 1e-4));
      assert.ok(protocol in protocols);
    });
  },
);

function logSoftmax(logits: Float32Array): number[] {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return Array.from(logits, (logit) => logit - Math.log(total));
}

testOnEach(
  devices,
  "codes are drawn one after another and do not depend on the batch",
  async (device) => {
    await withObjective(device, { settings: { conditional: true } }, async (objective) => {
      await trainFor(objective, device, 10);
      const labels = Int32Array.of(0, 1, 1, 0, 1);
      const settings = { temperature: 1.3, topK: 6, topP: 0.95 };
      const request = { count: 5, key, labels, settings };
      const { codes, images, codeShape } = await objective.generate(device, request);
      assert.deepEqual(codeShape, [3, 3]);
      assert.equal(images.length, 5 * 144);
      const expected = [...labels].flatMap((label, image) => ({ label, image }));
      for (const { label, image } of expected) {
        const drawn: number[] = [];
        for (let at = 0; at < LENGTH; at++) {
          const logits = await logitsAfter(objective, label, drawn);
          drawn.push(chooseCode(logits, settings, drawOf(key, image, at).chance).code);
        }
        assert.deepEqual([...codes!.subarray(image * LENGTH, (image + 1) * LENGTH)], drawn);
      }
      for (const batchSize of [1, 2, 4]) {
        const other = await objective.generate(device, { ...request, batchSize });
        assert.deepEqual(other.codes, codes, `in batches of ${batchSize}`);
      }
      const fewer = await objective.generate(device, {
        ...request,
        count: 2,
        labels: labels.slice(0, 2),
      });
      assert.deepEqual(fewer.codes, codes!.slice(0, 2 * LENGTH));
      const other = await objective.generate(device, { ...request, key: randomKey(12, "samples") });
      assert.notDeepEqual(other.codes, codes);
    });
  },
);

testOnEach(devices, "temperature 0 chooses the likeliest codes", async (device) => {
  await withObjective(device, {}, async (objective) => {
    await trainFor(objective, device, 10);
    const { codes } = await objective.generate(device, {
      count: 2,
      key,
      settings: { temperature: 0 },
    });
    const drawn: number[] = [];
    for (let at = 0; at < LENGTH; at++) {
      const logits = await logitsAfter(objective, 0, drawn);
      drawn.push(logits.indexOf(Math.max(...logits)));
    }
    assert.deepEqual([...codes!], [...drawn, ...drawn]);
  });
});

testOnEach(
  devices,
  "guidance extrapolates from the prediction without class through that with class",
  async (device) => {
    await withObjective(device, { settings: { conditional: true } }, async (objective) => {
      await trainFor(objective, device, 20);
      const settings = { guidance: 2.5, temperature: 0 };
      const labels = Int32Array.of(1, 0);
      const { codes } = await objective.generate(device, { count: 2, key, labels, settings });
      for (const [image, label] of labels.entries()) {
        const drawn: number[] = [];
        for (let at = 0; at < LENGTH; at++) {
          const known = await logitsAfter(objective, label, drawn);
          const unknown = await logitsAfter(objective, 2, drawn);
          const logits = known.map((logit, code) => unknown[code] + 2.5 * (logit - unknown[code]));
          drawn.push(logits.indexOf(Math.max(...logits)));
        }
        assert.deepEqual([...codes!.subarray(image * LENGTH, (image + 1) * LENGTH)], drawn);
      }
    });
  },
);

testOnEach(devices, "known codes stay, and the others are conditioned on them", async (device) => {
  await withObjective(device, {}, async (objective) => {
    await trainFor(objective, device, 10);
    const count = 3, plain: GenerateRequest = { count, key, settings: {} };
    const { codes: drawn } = await objective.generate(device, plain);
    const codes = Int32Array.from({ length: count * LENGTH }, (_, at) => (at * 5 + 3) % 8);
    // Different numbers of known codes beside each other.
    const known = new Uint8Array(count * LENGTH).map((_, at) =>
      Number(at % LENGTH < [4, 0, 9][Math.floor(at / LENGTH)])
    );
    const { codes: completed } = await objective.generate(device, {
      ...plain,
      given: { codes, known },
    });
    const row = (all: Int32Array, image: number) => [
      ...all.subarray(image * LENGTH, (image + 1) * LENGTH),
    ];
    assert.deepEqual(row(completed!, 0).slice(0, 4), row(codes, 0).slice(0, 4));
    assert.deepEqual(row(completed!, 1), row(drawn!, 1), "nothing is known of it");
    assert.deepEqual(row(completed!, 2), row(codes, 2), "all is known of it");
    const rest = row(codes, 0).slice(0, 4);
    for (let at = 4; at < LENGTH; at++) {
      const logits = await logitsAfter(objective, 0, rest);
      rest.push(chooseCode(logits, SHARP, drawOf(key, 0, at).chance).code);
    }
    assert.deepEqual(row(completed!, 0), rest);
    const all = { codes, known: known.map(() => 1) };
    assert.deepEqual((await objective.generate(device, { ...plain, given: all })).codes, codes);
    const none = { codes: codes.map(() => -1), known: known.map(() => 0) };
    assert.deepEqual((await objective.generate(device, { ...plain, given: none })).codes, drawn);
    const common = { codes, known: known.map((_, at) => Number(at % LENGTH < 3)) };
    const { codes: long } = await objective.generate(device, { ...plain, given: common });
    const one = { codes: codes.slice(0, LENGTH), known: common.known.slice(0, LENGTH) };
    const { codes: alone } = await objective.generate(device, { ...plain, count: 1, given: one });
    assert.deepEqual(row(long!, 0), [...alone!]);
  });
});

testOnEach(
  devices,
  "if all classes are dropped, no class embedding changes",
  async (device) => {
    const settings = { conditional: true, classDropout: 1 };
    await withObjective(device, { settings }, async (objective) => {
      const { firstTokens } = objective.model;
      const before = await firstTokens.floats();
      await trainFor(objective, device, 2);
      const after = await firstTokens.floats();
      assert.deepEqual(after.subarray(0, 32), before.subarray(0, 32), "those of the two classes");
      assert.notDeepEqual(after.subarray(32), before.subarray(32), "that of no class");
    });
  },
);

testOnEach(devices, "cached codes are those of the images", async (device) => {
  const losses: number[][] = [];
  for (const cache of ["none", "images", "flips"]) {
    await withObjective(device, { settings: { cache } }, async (objective) => {
      losses.push(await trainFor(objective, device, 3));
    });
  }
  const [none, images, flips] = losses;
  assert.deepEqual(images, none);
  assert.notDeepEqual(flips, none);
  assert.ok(flips.every(Number.isFinite));
});

testOnEach(devices, "progress is reported, and a signal stops the work", async (device) => {
  await withObjective(device, {}, async (objective) => {
    const done: number[] = [];
    const onProgress = (images: number, total: number) => done.push(images, total);
    await objective.generate(device, { count: 3, key, settings: {}, batchSize: 2, onProgress });
    assert.deepEqual(done.slice(-2), [3, 3]);
    assert.ok(done.every((value, index) => index < 2 || value >= done[index - 2]));
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(
      objective.generate(device, { count: 1, key, settings: {}, signal }),
      /enough/,
    );
  });
});

testOnEach(devices, "samples are drawn as a PNG image", async (device) => {
  await withObjective(device, { settings: { conditional: true } }, async (objective) => {
    const png = await objective.samples(device, { training: false, key });
    assert.deepEqual(
      [...png.subarray(1, 4)].map((byte) => String.fromCharCode(byte)).join(""),
      "PNG",
    );
  });
});

testOnEach(devices, "invalid settings and requests are rejected", async (device) => {
  const refused = (work: Promise<unknown>, message: string) =>
    assert.rejects(work, { name: "RangeError", message });
  await withObjective(device, {}, async (objective) => {
    const generate = (request: Partial<GenerateRequest>) =>
      objective.generate(device, { count: 1, key, settings: {}, ...request });
    await refused(
      generate({ settings: { topK: 9 } }),
      "Cannot sample: topK must be at most the 8 codes, got 9",
    );
    await refused(
      generate({ labels: Int32Array.of(0) }),
      "Cannot sample a class: the model must have been trained with classes, got one without classes",
    );
    await refused(
      generate({ settings: { guidance: 2 } }),
      "Cannot sample with guidance 2: classes must be requested, got none",
    );
    const known = new Uint8Array(LENGTH), codes = new Int32Array(LENGTH);
    await refused(
      generate({ given: { codes, known: known.with(3, 1) } }),
      "Cannot complete images: an autoregressive model needs the known codes to come first in row order, " +
        "got a known one at position 3 after a hidden one; a masking model takes any mask",
    );
    await refused(
      generate({ given: { codes: codes.with(0, 8), known: known.with(0, 1) } }),
      "Cannot complete images: a known code must be in [0, 8), got 8",
    );
    await refused(
      generate({ given: { codes, known: known.slice(1) } }),
      "Cannot complete images: 9 codes and a mask of 9 are needed, got 9 and 8",
    );
    await refused(evaluateNothing(objective), "Cannot evaluate: there must be a batch, got none");
  });
  await withObjective(
    device,
    { settings: { conditional: true, classDropout: 0 } },
    async (objective) => {
      const generate = (request: Partial<GenerateRequest>) =>
        objective.generate(device, { count: 1, key, settings: {}, ...request });
      await refused(
        generate({ labels: Int32Array.of(2) }),
        "Cannot sample: a class must be in [0, 2), got 2",
      );
      await refused(
        generate({}),
        "Cannot sample any class: the model must have been trained with objective.classDropout above 0, got 0",
      );
      await refused(
        generate({ labels: Int32Array.of(1), settings: { guidance: 2 } }),
        "Cannot sample with guidance: the model must have been trained with objective.classDropout above 0, got 0",
      );
    },
  );
  using stage1 = await tinyFirstStage(device);
  const options = {
    type: "autoregression",
    stage1,
    settings: { conditional: true },
    labels: false,
  };
  assert.throws(() => makeObjective(device, options), {
    name: "RangeError",
    message:
      /^Cannot train with classes: objective\.conditional must be false for a data set without classes, got true with stripes; digits, /,
  });
  using deep = await tinyFirstStage(device, 2);
  assert.throws(() => makeObjective(device, { type: "autoregression", stage1: deep }), {
    name: "RangeError",
    message:
      "Cannot make an autoregressive model: the first stage must have one code per position, got [2]; " +
      "--objective.type residual-autoregression takes several",
  });
});

function evaluateNothing(objective: AutoregressionObjective) {
  async function* none() {}
  return objective.evaluate("test", none(), { training: false, key });
}
