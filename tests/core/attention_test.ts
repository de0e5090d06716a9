/** Attention against its definition, on shapes drawn at random; what it does with great logits, and its memory. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { openDevice } from "../../core/device.ts";
import { backward, parameter } from "../../core/execute.ts";
import { attention, blockVisibility } from "../../core/functions/attention.ts";
import { uniform as randomly } from "../../core/functions/creation.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { type Shape, sizeOf } from "../../core/shape.ts";
import type { Device } from "../../core/tensor.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertAgrees, FLOAT32 } from "./agreement.ts";
import { checkForward } from "./check_operation.ts";
import { givenIntegers, uniform } from "./operands.ts";

const devices = await openTestDevices();
const [reference] = devices;

interface Case {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly width: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Where it is there, of each query. */
  readonly visible: readonly number[] | undefined;
}

const length = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 70 }));

const cases = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  queries: length,
  keys: length,
  heads: fc.integer({ min: 1, max: 3 }),
  width: fc.constantFrom(1, 3, 8, 20, 33), // Shaders are compiled for each.
  causal: fc.boolean(),
  scale: fc.constantFrom(0.1, 1, -0.5),
  masked: fc.boolean(),
}).chain(({ masked, ...rest }) => {
  const { queries } = rest;
  const limits = fc.array(fc.integer({ min: -1, max: 80 }), {
    minLength: queries,
    maxLength: queries,
  });
  return (masked ? limits : fc.constant(undefined)).map((visible) => ({ ...rest, visible }));
});

/** The definition, in float64. */
function defined(
  { batch, queries, keys, heads, width, causal, scale, visible }: Case,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
): Float32Array<ArrayBuffer> {
  const y = new Float32Array(q.length);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < queries; i++) {
        const at = ((b * queries + i) * heads + h) * width;
        const rows = Array.from({ length: keys }, (_, j) => j)
          .filter((j) => !causal || keys - 1 - j >= queries - 1 - i)
          .filter((j) => visible === undefined || j < visible[i])
          .map((j) => ((b * keys + j) * heads + h) * width);
        const logits = rows.map((row) => {
          let product = 0;
          for (let d = 0; d < width; d++) product += q[at + d] * k[row + d];
          return product * scale;
        });
        const greatest = Math.max(...logits);
        const powers = logits.map((logit) => Math.exp(logit - greatest));
        const total = powers.reduce((a, b) => a + b, 0);
        for (let d = 0; d < width; d++) {
          y[at + d] = rows.reduce((sum, row, j) => sum + powers[j] / total * v[row + d], 0);
        }
      }
    }
  }
  return y;
}

testOnEach(devices, "attention matches its definition for all shapes", async (device) => {
  await fc.assert(
    fc.asyncProperty(cases, async (drawn) => {
      const { batch, queries, keys, heads, width, causal, scale, visible } = drawn;
      const shapeQ = [batch, queries, heads, width], shapeK = [batch, keys, heads, width];
      const [q, k, v] = [draw(shapeQ, "q"), draw(shapeK, "k"), draw(shapeK, "v")];
      const mask = visible && device.tensor(Int32Array.from(visible), [queries]);
      const y = attention(
        device.tensor(q, shapeQ),
        device.tensor(k, shapeK),
        device.tensor(v, shapeK),
        { causal, scale, visible: mask },
      );
      assertAgrees(await y.floats(), defined(drawn, q, k, v), FLOAT32, JSON.stringify(drawn));
      const operands = [
        ...[shapeQ, shapeK, shapeK, shapeQ].map((shape) => uniform(shape)),
        ...[uniform(shapeQ.slice(0, 3), 2, 3), uniform(shapeQ.slice(0, 3))],
        ...visible === undefined ? [] : [givenIntegers([queries], visible)],
      ];
      const row = { about: "drawn", operands, attributes: { causal, scale } };
      await checkForward(reference, device, "attentionGradient", row);
    }),
    { numRuns: device.name === "webgpu" ? 6 : 12, seed: 20240708 },
  );
});

/** Shapes of queries, and how many keys they have, for which a device may have a way of its own. */
const LENGTHS: readonly (readonly [about: string, queries: Shape, keys: number])[] = [
  ["many long heads", [4, 131, 4, 6], 131],
  ["few long heads", [1, 131, 2, 6], 131],
  ["many heads of other lengths", [2, 97, 8, 3], 150],
  ["heads beyond what is short", [2, 17, 8, 4], 300],
  ["one query of many keys", [2, 1, 2, 21], 1201],
];

for (const [about, queries, length] of LENGTHS) {
  testOnEach(devices, `attention agrees with the reference: ${about}`, async (device) => {
    const keys = [queries[0], length, ...queries.slice(2)], rows = queries.slice(0, 3);
    const operands = [queries, keys, keys].map((shape) => uniform(shape));
    const row = { about, operands, attributes: { causal: true, scale: 0.7 } };
    await checkForward(reference, device, "attention", row);
    const more = [uniform(queries), uniform(rows, 2, 3), uniform(rows)];
    const backwards = { ...row, operands: [...operands, ...more] };
    await checkForward(reference, device, "attentionGradient", backwards);
  });
}

testOnEach(devices, "large logits do not overflow, forward or backward", async (device) => {
  const shape = [1, 33, 2, 16];
  const great = (purpose: string) => draw(shape, purpose).map((x) => Math.sign(x) * 25);
  const [q, k] = ["q", "k"].map((name) => parameter(device.tensor(great(name), shape)));
  const v = parameter(device.tensor(draw(shape, "v"), shape));
  const y = attention(q, k, v, { scale: 1 }); // logits of up to ±10,000
  const results = [y, ...backward(sum(mul(y, y)), [q, k, v])];
  for (const result of results) assert.ok((await result.floats()).every(Number.isFinite));
});

testOnEach(devices, "tokens attend to their own block and to earlier blocks", async (device) => {
  const visible = blockVisibility(device, [1, 3, 2]);
  assert.deepEqual([...await visible.integers()], [1, 4, 4, 4, 6, 6]);
  const shape = [1, 6, 1, 1];
  const flat = device.tensor(new Float32Array(6), shape);
  const values = device.tensor([6, 2, 4, 8, 1, 3], shape);
  const y = await attention(flat, flat, values, { visible }).floats();
  assertAgrees(y, Float32Array.of(6, 5, 5, 5, 4, 4), FLOAT32, "means of what each sees");
});

testOnEach(devices, "a query that sees no key gives zeros and a zero gradient", async (device) => {
  const [q, k, v] = [[1, 3, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2]].map((shape) =>
    parameter(device.tensor(draw(shape, "sees"), shape))
  );
  const y = attention(q, k, v, { causal: true });
  assert.deepEqual([...await y.floats()], [0, 0, 0, 0, ...await v.floats()]);
  const [byQueries, , byValues] = backward(sum(y), [q, k, v]);
  assert.deepEqual([...await byQueries.floats()].map(Math.abs), [0, 0, 0, 0, 0, 0]);
  assertAgrees(await byValues.floats(), Float32Array.of(1, 1), FLOAT32, "of the values");
});

testOnEach(devices, "operands with mismatched shapes are rejected", (device) => {
  const tensor = (...shape: number[]) => device.tensor(new Float32Array(sizeOf(shape)), shape);
  const q = tensor(2, 3, 2, 4);
  const refuse = (body: () => unknown, message: string) =>
    assert.throws(body, { name: "TypeError", message });
  refuse(
    () => attention(q, tensor(2, 5, 2, 4), tensor(2, 6, 2, 4)),
    "Cannot attend: queries [B, S, H, D], keys and values [B, T, H, D] must agree, got " +
      "float32 [2, 3, 2, 4] and float32 [2, 5, 2, 4] and float32 [2, 6, 2, 4]",
  );
  refuse(
    () => attention(q, q, q, { visible: device.tensor(Int32Array.of(1), [1]) }),
    "Cannot attend: each of the 3 queries needs one number of visible keys, got int32 [1]",
  );
});

/** Bytes that a device takes for a step of attention over so many tokens, forward and backward. */
async function bytesOfStep(name: Device["name"], tokens: number): Promise<number> {
  using device = await openDevice(name, { blas: "off" });
  const shape: Shape = [1, tokens, 2, 4];
  {
    using _scope = device.scope();
    const [q, k, v] = ["q", "k", "v"].map((purpose) =>
      parameter(device.tensor(draw(shape, purpose), shape))
    );
    const y = attention(q, k, v, { causal: true });
    const gradients = backward(sum(mul(y, y)), [q, k, v]);
    await gradients[2].floats();
  }
  return device.liveBytes + device.pooledBytes;
}

for (const { name } of devices) {
  Deno.test(`the memory of an attention step grows linearly with the number of tokens (${name})`, async () => {
    const short = await bytesOfStep(name, 128), long = await bytesOfStep(name, 1024);
    assert.ok(long < 8.5 * short, `${long} bytes for 1024 tokens, ${short} for 128`);
    const weights = 2 * 1024 ** 2 * 4;
    assert.ok(long < weights / 8, `${long} bytes, of which the weights alone would be ${weights}`);
  });
}

Deno.test("attention gives the same bits on one thread and on two, in every run", async () => {
  const [one, two] = await Promise.all(
    [1, 2].map((threads) => openDevice("cpu", { threads, blas: "off", dnn: "off" })),
  );
  using _one = one;
  using _two = two;
  // A head's values fill more memory than its weights, and the other way round.
  for (
    const [batch, length, heads, width] of [
      [128, 16, 1, 128],
      [128, 16, 4, 32],
      [8, 49, 2, 8],
      [64, 1, 4, 32],
    ]
  ) {
    const bitsOn = async (device: Device) => {
      using _scope = device.scope();
      const [q, k, v, g] = [1, 2, 3, 4].map((step) =>
        parameter(randomly(device, [batch, length, heads, width], randomKey(step, "x"), -1, 1))
      );
      const y = attention(q, k, v);
      const results = [y, ...backward(sum(mul(y, g)), [q, k, v])];
      return await Promise.all(results.map((result) => result.floats()));
    };
    const expected = await bitsOn(one);
    for (let time = 0; time < 4; time++) assert.deepEqual(await bitsOn(two), expected);
  }
});
