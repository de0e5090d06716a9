/** Transformers: PyTorch's logits and gradients, what sees what, the cache, and what is refused. */
import assert from "node:assert/strict";
import { backward, withoutGradients } from "../../../core/execute.ts";
import { square } from "../../../core/functions/elementwise.ts";
import { slice } from "../../../core/functions/movement.ts";
import { mean } from "../../../core/functions/reductions.ts";
import { randomKey } from "../../../core/random.ts";
import type { Device } from "../../../core/tensor.ts";
import { createModel, TRANSFORMERS } from "../../../models/registry.ts";
import {
  CodeTransformer,
  type CodeTransformerOptions,
} from "../../../models/transformer/code_transformer.ts";
import { type StackOptions, TransformerStack } from "../../../models/transformer/stack.ts";
import type { Module } from "../../../nn/module.ts";
import { draw, testOnEach } from "../../each_device.ts";
import { openTestDevices } from "../../helpers.ts";
import { assertClose } from "../../tolerances.ts";
import { compareWithPyTorch, readFixture } from "./fixtures.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "transformer");

/** The same products, over keys that were computed before or together. The requirement. */
const CACHED = 1e-5;

const PLAIN: CodeTransformerOptions = {
  ...{ codebookSize: 11, grid: [3, 4], classes: 2, causal: true },
  ...{ width: 16, layers: 2, heads: 2, dropout: 0, positions: "learned" },
  ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false, key },
};
const MODERN: CodeTransformerOptions = {
  ...PLAIN,
  ...{ positions: "rotary", norm: "rms", feedForward: "swiglu", queryKeyNorm: true },
};

const integers = (device: Device, values: readonly number[], shape: readonly number[]) =>
  device.tensor(Int32Array.from(values), shape);

for (const name of ["causal", "causal-modern", "masked", "masked-modern"]) {
  const fixture = await readFixture<CodeTransformerOptions>(name);
  testOnEach(devices, `${name}: logits and gradients agree with PyTorch`, async (device) => {
    const model = new CodeTransformer(device, { ...fixture.settings, dropout: 0.5, key });
    await compareWithPyTorch(device, fixture, model, (input) => {
      const labels = input("labels"), codes = input("codes");
      const logits = model.logits(model.forward({ labels, codes }));
      const [batch, length, size] = logits.shape, targets = input("targets").shape[1];
      return slice(logits, [0, length - targets, 0], [batch, targets, size]);
    });
  });
}

const memoryFixture = await readFixture<StackOptions>("memory");

testOnEach(devices, "cross-attention: outputs and gradients agree with PyTorch", async (device) => {
  const { settings } = memoryFixture;
  const stack = new TransformerStack(device, { ...settings, dropout: 0, causal: true, key });
  await compareWithPyTorch(
    device,
    memoryFixture,
    stack,
    (input) => stack.forward(input("x"), undefined, { memory: input("memory") }),
  );
});

for (const [name, options] of Object.entries({ plain: PLAIN, modern: MODERN })) {
  testOnEach(devices, `${name}: cached and uncached logits are equal`, async (device) => {
    const model = new CodeTransformer(device, options);
    spread(model);
    const codes = Array.from({ length: 33 }, (_, index) => index * 7 % 11);
    const labels = integers(device, [0, 1, 2], [3]);
    const all = withoutGradients(() =>
      model.logits(model.forward({ labels, codes: integers(device, codes, [3, 11]) }))
    );
    const expected = await all.floats();
    // The first token, then parts of several lengths.
    using cache = model.cache();
    let at = 0;
    for (const count of [0, 1, 4, 2, 1, 3]) {
      const part = [0, 1, 2].flatMap((row) => codes.slice(row * 11 + at, row * 11 + at + count));
      const input = count === 0 ? { labels } : { codes: integers(device, part, [3, count]) };
      const logits = withoutGradients(() => model.logits(model.forward(input, undefined, cache)));
      const tokens = Math.max(count, 1), from = count === 0 ? 0 : at + 1;
      const wanted = [0, 1, 2].flatMap((row) => [
        ...expected.subarray((row * 12 + from) * 11, (row * 12 + from + tokens) * 11),
      ]);
      assertClose(await logits.floats(), wanted, CACHED, `tokens from ${from}`);
      at += count;
    }
    assert.equal(cache.length, 12);
  });
}

/** Larger weights, so that a difference shows. */
function spread(model: Module): void {
  for (const [name, tensor] of model.namedParameters()) {
    tensor.write(draw(tensor.shape, name));
  }
}

/** Which positions' logits change with the code at each position. */
async function influences(model: CodeTransformer, length: number): Promise<number[][]> {
  const { codebookSize, tokens: { device } } = model;
  const before = Array.from({ length }, (_, index) => index % codebookSize);
  const logitsOf = async (codes: readonly number[]) => {
    const labels = integers(device, [0], [1]);
    const input = { labels, codes: integers(device, codes, [1, length]) };
    return await model.logits(model.forward(input)).floats();
  };
  const logits = await logitsOf(before);
  const changed: number[][] = [];
  for (let at = 0; at < length; at++) {
    const after = await logitsOf(before.with(at, (before[at] + 1) % codebookSize));
    const rows = Array.from({ length: length + 1 }, (_, row) => row);
    changed.push(rows.filter((row) =>
      after.subarray(row * codebookSize, (row + 1) * codebookSize)
        .some((value, index) => value !== logits[row * codebookSize + index])
    ));
  }
  return changed;
}

for (const [name, options] of Object.entries({ plain: PLAIN, modern: MODERN })) {
  testOnEach(devices, `${name}: a causal transformer sees no later code`, async (device) => {
    const model = new CodeTransformer(device, options);
    spread(model);
    // The token after the first is that of code 0; what is made of it is all that code 0 may change, and what follows.
    const expected = Array.from(
      { length: 11 },
      (_, at) => Array.from({ length: 11 - at }, (_, index) => at + 1 + index),
    );
    assert.deepEqual(await influences(model, 11), expected);
  });

  testOnEach(devices, `${name}: a transformer for masked codes sees all codes`, async (device) => {
    const model = new CodeTransformer(device, { ...options, causal: false });
    spread(model);
    const all = Array.from({ length: 13 }, (_, row) => row);
    assert.deepEqual(await influences(model, 12), all.slice(1).map(() => all));
  });
}

testOnEach(devices, "the output depends on a code's position and on the class", async (device) => {
  for (const options of [PLAIN, MODERN]) {
    const model = new CodeTransformer(device, { ...options, causal: false });
    spread(model);
    const last = async (label: number, codes: readonly number[]) => {
      const input = {
        labels: integers(device, [label], [1]),
        codes: integers(device, codes, [1, 12]),
      };
      const logits = await model.logits(model.forward(input)).floats();
      return [...logits.subarray(-11)];
    };
    const codes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 11];
    const moved = [2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 0, 11];
    const logits = await last(0, codes);
    assert.notDeepEqual(await last(0, moved), logits);
    assert.notDeepEqual(await last(1, codes), logits);
  }
});

testOnEach(
  devices,
  "dropout depends on the key, and is active in training only",
  async (device) => {
    const model = new CodeTransformer(device, { ...PLAIN, dropout: 0.5 });
    spread(model);
    const input = { labels: integers(device, [0], [1]), codes: integers(device, [1, 2], [1, 2]) };
    const read = (context?: { training: boolean; key: typeof key }) =>
      model.forward(input, context).floats();
    const plain = await read(), trained = await read({ training: true, key });
    assert.deepEqual(await read({ training: false, key }), plain);
    assert.deepEqual(await read({ training: true, key }), trained);
    assert.notDeepEqual(trained, plain);
    assert.notDeepEqual(await read({ training: true, key: randomKey(2, "other") }), trained);
  },
);

testOnEach(
  devices,
  "recomputed blocks give the same gradients bit for bit",
  async (device) => {
    const gradientsOf = async (recompute: boolean) => {
      const model = new CodeTransformer(device, { ...MODERN, dropout: 0.3, recompute });
      const codes = integers(device, [1, 2, 3, 4, 5, 6], [2, 3]);
      const input = { labels: integers(device, [0, 1], [2]), codes };
      const features = model.forward(input, { training: true, key });
      const gradients = backward(mean(square(model.logits(features))), model.parameters());
      return await Promise.all(gradients.map((gradient) => gradient.floats()));
    };
    assert.deepEqual(await gradientsOf(true), await gradientsOf(false));
  },
);

Deno.test("the default transformer over 49 codes of 512 has 0.93 million parameters", () => {
  using _scope = reference.scope();
  const needs = { codebookSize: 512, grid: [7, 7] as const, classes: 0, causal: true };
  const model = createModel(TRANSFORMERS, reference, needs, { type: "transformer" }, key);
  const block = 4 * (128 * 128 + 128) + 2 * 128 * 512 + 512 + 128 + 4 * 128;
  const expected = 4 * block + 2 * 128 + 2 * 512 * 128 + 49 * 128 + 128;
  assert.equal(model.parameters().reduce((sum, { size }) => sum + size, 0), expected);
  assert.equal(expected, 930_816);
});

Deno.test("the key determines the weights: matrices of deviation 0.02, biases 0, norms 1", async () => {
  using _scope = reference.scope();
  const make = (seed: number) =>
    new CodeTransformer(reference, { ...PLAIN, width: 64, key: randomKey(seed, "transformer") });
  const state = await make(1).stateDictionary();
  assert.deepEqual(await make(1).stateDictionary(), state);
  assert.notDeepEqual(await make(2).stateDictionary(), state);
  const first = new Set<number>();
  for (const [name, { shape, values: own }] of state) {
    const values = Float32Array.from(own);
    if (shape.length === 2) {
      const deviation = Math.sqrt(
        [...values].reduce((sum, value) => sum + value ** 2, 0) / values.length,
      );
      assert.ok(Math.abs(deviation - 0.02) < 0.004, `${name} deviates by ${deviation}`);
      assert.ok(!first.has(values[0]), `${name} is drawn apart from the others`);
      first.add(values[0]);
    } else {
      const wanted = name.endsWith("bias") ? 0 : 1;
      assert.ok(values.every((value) => value === wanted), name);
    }
  }
});

testOnEach(devices, "invalid settings and inputs are rejected", (device) => {
  const model = new CodeTransformer(device, PLAIN);
  const labels = integers(device, [0], [1]);
  const forward = (codes: readonly number[], label = 0) =>
    model.forward({
      labels: integers(device, [label], [1]),
      codes: integers(device, codes, [1, codes.length]),
    });
  const refused = (run: () => unknown, name: string, message: string) =>
    assert.throws(run, { name, message });
  refused(
    () => forward(new Array(12).fill(0)),
    "RangeError",
    "Cannot run a transformer: a sequence must have at most 12 tokens, got 13",
  );
  refused(
    () => forward([1, 11]),
    "RangeError",
    "Cannot run a transformer: a code must be in [0, 11), got 11 in [1, 2]",
  );
  refused(
    () => forward([1], -1),
    "RangeError",
    "Cannot run a transformer: a class must be in [0, 3), got -1 in [1]",
  );
  refused(
    () => model.forward({}),
    "TypeError",
    "Cannot run a transformer: there must be labels or codes, got neither",
  );
  refused(
    () => model.stack.forward(model.forward({ labels }), undefined, { memory: labels }),
    "TypeError",
    "Cannot run a transformer: it must be given no memory, got one",
  );
  refused(
    () => new CodeTransformer(device, { ...MODERN, heads: 8 }),
    "RangeError",
    "Cannot make a transformer: with rotary positions the width of a head must be divisible by 4, got 16/8",
  );
  refused(
    () => new CodeTransformer(device, { ...PLAIN, heads: 3 }),
    "RangeError",
    "Cannot make an attention layer: the heads must divide the width 16, got 3",
  );
});
