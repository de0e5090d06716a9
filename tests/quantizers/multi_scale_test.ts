/** The multi-scale quantiser: PyTorch's numbers, and what its scales come to. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { backward, parameter } from "../../core/execute.ts";
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import { slice } from "../../core/functions/movement.ts";
import { sum } from "../../core/functions/reductions.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { averageTo } from "../../nn/resampling.ts";
import { EmaQuantizer } from "../../quantizers/ema.ts";
import { type MultiScaleOptions, MultiScaleQuantizer } from "../../quantizers/multi_scale.ts";
import { ProductQuantizer } from "../../quantizers/product.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "multi-scale");
const context = { training: true, key };
/** The requirement. */
const AGAINST_PYTORCH = 1e-4;

interface Sizes {
  readonly codebookSize: number;
  readonly codebookDim: number;
}

function make(
  device: Device,
  { codebookSize, codebookDim }: Sizes,
  options: Partial<MultiScaleOptions>,
): MultiScaleQuantizer {
  const inner = (key: RandomKey) =>
    new VanillaQuantizer(device, { codebookSize, codebookDim, key });
  const quantizer = new MultiScaleQuantizer(device, { inner, key, ...options });
  const [part] = quantizer.parts;
  if (part instanceof VanillaQuantizer) {
    part.codebook.write(draw(part.codebook.shape, "codes", -1, 1));
  }
  return quantizer;
}

const { tensors, metadata } = await readSafetensors(
  fileURLToPath(new URL("../fixtures/next-scale/quantizer.safetensors", import.meta.url)),
);
const fixture: Sizes & { scales: readonly number[]; convolutions: number } = JSON.parse(
  metadata.get("settings")!,
);

testOnEach(devices, "codes, losses and gradients agree with PyTorch", async (device) => {
  const { scales, convolutions } = fixture;
  const quantizer = make(device, fixture, { scales, convolutions });
  const named = [...quantizer.namedParameters()];
  quantizer.loadStateDictionary(new Map(named.map(([name]) => [name, tensors.get(name)!])));
  const input = (name: string) => {
    const { shape, values } = tensors.get(`input.${name}`)!;
    return device.tensor(values, shape);
  };
  const features = parameter(input("features"));
  const { quantized, indices, losses } = quantizer.quantize(features, context);
  const expected = (name: string) => tensors.get(name)!.values;
  assert.deepEqual(await indices.integers(), expected("expected.indices"));
  const close = async (got: { floats(): Promise<Float32Array> }, name: string) =>
    assertClose(await got.floats(), expected(name), AGAINST_PYTORCH, name);
  await close(quantized, "expected.quantized");
  assert.deepEqual(Object.keys(losses), [
    "commitment",
    "codebook",
    "gridCommitment",
    "convolutions",
  ]);
  for (const [name, loss] of Object.entries(losses)) await close(loss, `expected.${name}`);
  const shown = slice(indices, [0, 0], [2, indices.shape[1] - scales.at(-1)! ** 2]);
  await close(quantizer.before(shown), "expected.before");
  const loss = Object.values(losses).reduce(add, sum(mul(quantized, input("upstream"))));
  const gradients = backward(loss, [features, ...named.map(([, tensor]) => tensor)]);
  for (const [at, name] of ["features", ...named.map(([name]) => name)].entries()) {
    await close(gradients[at], `gradient.${name}`);
  }
});

const sizes = fc.record({
  scales: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 })
    .map((sides) => sides.toSorted((a, b) => a - b)),
  convolutions: fc.constantFrom(0, 1, 3),
  batch: fc.integer({ min: 1, max: 3 }),
  codebookSize: fc.constantFrom(1, 2, 40),
});

testOnEach(
  devices,
  "the output is the sum of the scales, for any sides and codebook",
  async (device) => {
    const property = fc.asyncProperty(
      sizes,
      async ({ scales, convolutions, batch, codebookSize }) => {
        using _scope = device.scope();
        const quantizer = make(device, { codebookSize, codebookDim: 2 }, { scales, convolutions });
        const side = scales.at(-1)!, shape = [batch, side, side, 2];
        const features = device.tensor(draw(shape, "features", -1, 2), shape);
        const { quantized, indices, usage } = quantizer.quantize(features, context);
        const count = scales.reduce((total, own) => total + own ** 2, 0);
        assert.deepEqual([indices.shape, quantizer.codeAxes], [[batch, count], [count]]);
        assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
        const counts = await usage.integers();
        assert.equal(counts.reduce((total, own) => total + own, 0), batch * count);
        // Each scale's codes are the nearest to what the scales before it leave.
        let done = 0, rest = features;
        for (const own of scales) {
          const seen = averageTo(rest, own, own), [part] = quantizer.parts;
          const chosen = part.quantize(seen, context).indices;
          const at = slice(indices, [0, done], [batch, own ** 2]);
          assert.deepEqual(await at.integers(), await chosen.integers());
          done += own ** 2;
          const known = quantizer.lookup(slice(indices, [0, 0], [batch, done]));
          rest = sub(features, known);
          if (done === count) break;
          const next = scales[scales.indexOf(own) + 1];
          const before = quantizer.before(slice(indices, [0, 0], [batch, done]));
          const last = slice(before, [0, before.shape[1] - next ** 2, 0], [batch, next ** 2, 2]);
          assert.deepEqual(await last.floats(), await averageTo(known, next, next).floats());
        }
      },
    );
    await fc.assert(property, { seed: 5, numRuns: device.name === "webgpu" ? 4 : 12 });
  },
);

testOnEach(
  devices,
  "one scale without convolutions and commitment equals the inner quantiser",
  async (device) => {
    const options = { codebookSize: 5, codebookDim: 3, key: key };
    const one = make(device, options, { scales: [4], convolutions: 0, commitmentWeight: 0 });
    const plain = one.parts[0];
    const run = async (quantizer: typeof plain) => {
      const features = parameter(device.tensor(draw([2, 4, 4, 3], "features"), [2, 4, 4, 3]));
      const result = quantizer.quantize(features, context);
      const upstream = device.tensor(draw([2, 4, 4, 3], "up"), [2, 4, 4, 3]);
      const { gridCommitment: _, ...losses } = result.losses; // Of weight 0.
      const loss = Object.values(losses).reduce(add, sum(mul(result.quantized, upstream)));
      const gradients = backward(loss, [features, ...plain.parameters()]);
      return {
        indices: await result.indices.integers(),
        usage: await result.usage.integers(),
        values: await Promise.all(
          [result.quantized, loss, ...gradients].map((tensor) => tensor.floats()),
        ),
      };
    };
    assert.deepEqual(await run(one), await run(plain));
  },
);

testOnEach(
  devices,
  "the inner quantiser learns from its inputs at every scale",
  async (device) => {
    const scales = [1, 2, 3], settings = { codebookSize: 4, codebookDim: 2, decay: 0.5 };
    const inner = (key: RandomKey) => new EmaQuantizer(device, { ...settings, key });
    const quantizer = new MultiScaleQuantizer(device, { inner, scales, convolutions: 0, key });
    const alone = new EmaQuantizer(device, { ...settings, key });
    const codes = draw([4, 2], "codes");
    for (const each of [quantizer.parts[0] as EmaQuantizer, alone]) {
      each.loadStateDictionary(await alone.stateDictionary());
      each.codebook.write(codes);
    }
    const features = device.tensor(draw([5, 3, 3, 2], "features"), [5, 3, 3, 2]);
    const seen: number[][] = Array.from({ length: 5 }, () => []);
    let rest = features;
    const result = quantizer.quantize(features, context);
    let done = 0;
    for (const side of scales) {
      const own = averageTo(rest, side, side);
      rowsOf(await own.floats(), side ** 2 * 2).forEach((row, image) => seen[image].push(...row));
      done += side ** 2;
      rest = sub(features, quantizer.lookup(slice(result.indices, [0, 0], [5, done])));
    }
    const rows = device.tensor(seen.flat(), [5, 14, 2]);
    alone.update({ features: rows, ...alone.quantize(rows, context) }, context);
    quantizer.update({ features, ...result }, context);
    const expected = await alone.stateDictionary();
    for (const [name, { values }] of await quantizer.parts[0].stateDictionary()) {
      assertClose(values, expected.get(name)!.values, EQUATIONS, name);
    }
  },
);

testOnEach(devices, "k-means initialises from all scales at once", async (device) => {
  const settings = { codebookSize: 6, codebookDim: 2, initialization: "kmeans" } as const;
  const inner = (key: RandomKey) => new VanillaQuantizer(device, { ...settings, key });
  const quantizer = new MultiScaleQuantizer(device, { inner, scales: [1, 3], key });
  // One image is one average and nine further values: more than there would be codes of averages alone.
  const features = device.tensor(draw([1, 3, 3, 2], "features"), [1, 3, 3, 2]);
  assert.equal(quantizer.awaitsBatch, true);
  quantizer.begin(features, context);
  assert.equal(quantizer.awaitsBatch, false);
  const codes = rowsOf(await quantizer.codes()!.floats(), 2);
  assert.ok(new Set(codes.map(String)).size > 1, `${codes}`);
});

testOnEach(devices, "a grid with a non-finite feature gets no codes", async (device) => {
  const quantizer = make(device, { codebookSize: 4, codebookDim: 2 }, { scales: [1, 2] });
  const values = draw([3, 2, 2, 2], "features");
  values[8] = NaN;
  const features = device.tensor(values, [3, 2, 2, 2]);
  const result = quantizer.quantize(features, context);
  const indices = rowsOf(await result.indices.integers(), 5);
  assert.deepEqual(indices[1], [-1, -1, -1, -1, -1]);
  assert.ok([...indices[0], ...indices[2]].every((index) => index >= 0));
  const rows = rowsOf(await result.quantized.floats(), 8);
  assert.deepEqual(rows.map((row) => row.every(Number.isNaN)), [false, true, false]);
  assert.equal(await result.nonFinite!.item(), 1);
  assert.equal((await result.usage.integers()).reduce((total, count) => total + count), 10);
  quantizer.update({ features, ...result }, context);
  for (const [name, { values }] of await quantizer.stateDictionary()) {
    assert.ok(values.every((value) => Number.isFinite(value)), name);
  }
});

testOnEach(devices, "a side that repeats codes what the same side left over", async (device) => {
  const quantizer = make(device, { codebookSize: 4, codebookDim: 2 }, { scales: [1, 1, 2, 2] });
  const features = device.tensor(draw([3, 2, 2, 2], "features"), [3, 2, 2, 2]);
  const { indices, quantized } = quantizer.quantize(features, { training: false, key });
  assert.deepEqual(indices.shape, [3, 1 + 1 + 4 + 4]);
  assertClose(
    await quantizer.lookup(indices).floats(),
    await quantized.floats(),
    EQUATIONS,
    "looked up",
  );
  // The second code of an image is the nearest to its average without what the first one added.
  const first = slice(indices, [0, 0], [3, 1]);
  const rest = averageTo(sub(features, quantizer.lookup(first)), 1, 1);
  const again = quantizer.parts[0].quantize(rest, { training: false, key }).indices;
  assert.deepEqual(
    rowsOf(await indices.integers(), 10).map((codes) => codes[1]),
    [...await again.integers()],
  );
  assert.deepEqual(quantizer.before(slice(indices, [0, 0], [3, 6])).shape, [3, 1 + 4 + 4, 2]);
});

Deno.test("with dropout, a fraction of the training steps decodes only the first few scales", async () => {
  const sizes = { codebookSize: 4, codebookDim: 2 }, scales = [1, 2, 3];
  const quantizer = make(reference, sizes, { scales, dropout: 0.6 });
  const features = reference.tensor(draw([2, 3, 3, 2], "features"), [2, 3, 3, 2]);
  const ends = scales.map((_, scale) =>
    scales.slice(0, scale + 1).reduce((total, side) => total + side ** 2, 0)
  );
  const whole = quantizer.quantize(features, { training: false, key });
  const sums = await Promise.all(
    ends.map((end) => quantizer.lookup(slice(whole.indices, [0, 0], [2, end])).floats()),
  );
  const seen = scales.map(() => 0), steps = 200;
  for (let step = 0; step < steps; step++) {
    const stepKey = randomKey(step, "step");
    const result = quantizer.quantize(features, { training: true, key: stepKey });
    assert.deepEqual(await result.indices.integers(), await whole.indices.integers());
    const decoded = String(await result.quantized.floats());
    seen[sums.findIndex((sum) => String(sum) === decoded)]++;
  }
  // 0.6 of the steps draw one of three numbers: 0.2, 0.2 and 0.2 + 0.4; four standard deviations are below 0.14.
  [0.2, 0.2, 0.6].forEach((share, scale) =>
    assert.ok(Math.abs(seen[scale] / steps - share) < 0.14, `${seen}`)
  );
});

Deno.test("several codes per position are looked up by their indices", async () => {
  const plain = (key: RandomKey) =>
    new VanillaQuantizer(reference, { codebookSize: 4, codebookDim: 2, key });
  const inner = (key: RandomKey) => new ProductQuantizer({ inner: plain, heads: 2, key });
  const quantizer = new MultiScaleQuantizer(reference, { inner, scales: [1, 2], key });
  const features = reference.tensor(draw([3, 2, 2, 4], "features"), [3, 2, 2, 4]);
  const { indices, quantized } = quantizer.quantize(features, { training: false, key });
  assert.deepEqual([indices.shape, quantizer.codeAxes], [[3, 5, 2], [5, 2]]);
  assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
});

Deno.test("invalid settings and shapes are rejected", () => {
  const small = { codebookSize: 4, codebookDim: 2 };
  const quantizer = make(reference, small, { scales: [1, 2, 4] });
  const zeros = (...shape: number[]) =>
    reference.tensor(new Float32Array(shape.reduce((a, b) => a * b)), shape);
  const codes = (...shape: number[]) =>
    reference.tensor(new Int32Array(shape.reduce((a, b) => a * b)), shape);
  const refused = (run: () => unknown, name: string, message: string) =>
    assert.throws(run, { name, message });
  refused(
    () => quantizer.quantize(zeros(3, 5, 5, 2), context),
    "TypeError",
    "Cannot quantize: with the scales 1, 2, 4 features must be [..., 4, 4, 2], got shape [3, 5, 5, 2]; " +
      "the last of --quantizer.scales must be the side of the grid",
  );
  refused(
    () => quantizer.quantize(zeros(1, 4, 4, 2), { ...context, mask: zeros(1, 4, 4) }),
    "TypeError",
    "Cannot quantize: a multi-scale quantizer must be given no mask, as its codes cover whole grids, got one",
  );
  refused(
    () => quantizer.lookup(codes(1, 6)),
    "TypeError",
    "Cannot look up codes: there must be 21 indices, one per code of the scales 1, 2, 4, or those of the first few scales, got 6",
  );
  refused(
    () => quantizer.before(codes(1, 21)),
    "TypeError",
    "Cannot sum the scales before the next: the indices must not include the last scale, got all",
  );
  refused(
    () => make(reference, small, { scales: [1, 3, 2] }),
    "RangeError",
    "Cannot make a multi-scale quantizer: no scale may be smaller than the one before, got 1, 3, 2",
  );
  refused(
    () => createQuantizer(reference, { type: "residual", inner: { type: "multi-scale" } }, key),
    "RangeError",
    "Cannot make a quantizer of quantizers: the inner one must code each feature separately, " +
      "got one whose codes cover whole grids",
  );
});

testOnEach(devices, "finer scales code what exchanged codes miss", async (device) => {
  const scales = [1, 2, 3], sizes = { codebookSize: 8, codebookDim: 3 };
  const quantizer = make(device, sizes, { scales, convolutions: 2 });
  const values = draw([4, 3, 3, 3], "features", -2, 2);
  const features = device.tensor(values, [4, 3, 3, 3]);
  const own = await quantizer.quantize(features, context).indices.integers();
  const same = quantizer.quantizeExchanged(features, (codes) => codes, context);
  assert.deepEqual(await same.codes.integers(), own);
  assert.deepEqual(await same.exchanged.integers(), own);
  const other = (codes: Tensor) => sub(7, codes);
  const { codes, exchanged } = quantizer.quantizeExchanged(features, other, context);
  assert.deepEqual(await exchanged.integers(), (await codes.integers()).map((code) => 7 - code));
  for (const [scale, before] of [1, 5].entries()) {
    const side = scales[scale + 1];
    const missing = sub(features, quantizer.lookup(slice(exchanged, [0, 0], [4, before])));
    const { indices } = quantizer.parts[0].quantize(averageTo(missing, side, side), context);
    const coded = slice(codes, [0, before], [4, side ** 2]);
    assert.deepEqual(await coded.integers(), await indices.integers(), `scale ${scale + 1}`);
  }
});
