import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { slice } from "../../core/functions/movement.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { EmaQuantizer } from "../../quantizers/ema.ts";
import { FSQQuantizer } from "../../quantizers/fsq.ts";
import { ProductQuantizer } from "../../quantizers/product.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { type ResidualOptions, ResidualQuantizer } from "../../quantizers/residual.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { countsOf, mean, nearest, rowsOf } from "./plain.ts";
import { dot, judged, leaf, slopes } from "./slopes.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "residual");
const context = { training: true, key };
const [N, K, D, DEPTH] = [9, 5, 3, 3];

function make(device: Device, options: Partial<ResidualOptions> = {}): ResidualQuantizer {
  const inner = (key: RandomKey) =>
    new VanillaQuantizer(device, { codebookSize: K, codebookDim: D, key });
  const quantizer = new ResidualQuantizer({ inner, depth: DEPTH, key, ...options });
  quantizer.parts.forEach((part, p) =>
    (part as VanillaQuantizer).codebook?.write(draw([K, D], `codes ${p}`))
  );
  return quantizer;
}

for (const shared of [true, false]) {
  testOnEach(
    devices,
    `residual, ${shared ? "shared" : "separate"}: forward and gradients`,
    async (device) => {
      const quantizer = make(device, { shared });
      const codebooks = quantizer.parts.map((part) => (part as VanillaQuantizer).codebook);
      const values = await Promise.all(codebooks.map((codebook) => codebook.floats()));
      const z = draw([N, D], "features"), upstream = draw([N, D], "up");
      const features = leaf(device, z, [N, D]);
      const result = quantizer.quantize(features, context);
      const judge = judged(result, device.tensor(upstream, [N, D]));
      const [byFeatures, ...byCodebooks] = backward(judge, [features, ...codebooks]);

      const part = (level: number) => shared ? 0 : level;
      const codes = values.map((list) => rowsOf(list, D));
      const sums: number[][] = [], chosen: number[][] = [], residuals: number[][] = [];
      let rest = Array.from(z);
      for (let level = 0; level < DEPTH; level++) {
        const indices = nearest(rowsOf(rest, D), codes[part(level)], "l2");
        residuals.push(rest);
        rest = rest.map((x, i) => x - codes[part(level)][indices[Math.floor(i / D)]][i % D]);
        chosen.push(indices);
        sums.push(Array.from(z, (x, i) => x - rest[i]));
      }
      const numbered = Array.from(
        { length: N },
        (_, n) => chosen.map((indices, level) => indices[n] + part(level) * K),
      ).flat();
      assert.deepEqual(result.indices.shape, [N, DEPTH]);
      assert.deepEqual([...await result.indices.integers()], numbered);
      assert.equal(quantizer.codebookSize, shared ? K : DEPTH * K);
      const counts = countsOf(numbered, quantizer.codebookSize);
      assert.deepEqual([...await result.usage.integers()], counts);
      assertClose(await result.quantized.floats(), sums[DEPTH - 1], EQUATIONS, "codes");
      // The paper's commitment: to the sum of the codes up to each level.
      const error = (x: readonly number[], level: number) =>
        mean(x.map((value, i) => (value - sums[level][i]) ** 2));
      const commitment = (x: readonly number[]) =>
        0.25 * mean(sums.map((_, level) => error(x, level)));
      assertClose(
        await result.losses.commitment.floats(),
        [commitment(Array.from(z))],
        EQUATIONS,
        "β",
      );
      const expected = slopes((x) => dot([...x], upstream) + commitment(x), z);
      assertClose(await byFeatures.floats(), expected, EQUATIONS, "gradient of z");
      for (const [p, gradient] of byCodebooks.entries()) {
        const expected = slopes((e) => {
          const moved = rowsOf(e, D);
          return mean(
            residuals.flatMap((residual, level) =>
              part(level) !== p
                ? residual.map(() => 0)
                : residual.map((x, i) => (x - moved[chosen[level][Math.floor(i / D)]][i % D]) ** 2)
            ),
          );
        }, values[p]);
        assertClose(await gradient.floats(), expected, EQUATIONS, `gradient of codebook ${p}`);
      }
    },
  );
}

testOnEach(
  devices,
  "the error falls with every level, and fewer indices give a coarser code",
  async (device) => {
    const quantizer = new ResidualQuantizer({
      inner: (key) =>
        new VanillaQuantizer(device, {
          codebookSize: 16,
          codebookDim: 4,
          initialization: "kmeans",
          key,
        }),
      depth: 4,
      shared: false,
      key,
    });
    const features = device.tensor(draw([400, 4], "many"), [400, 4]);
    quantizer.begin(features, context);
    const { indices, quantized } = quantizer.quantize(features, context);
    const z = await features.floats();
    const errors: number[] = [];
    for (let levels = 1; levels <= 4; levels++) {
      const coarse = await quantizer.lookup(slice(indices, [0, 0], [400, levels])).floats();
      errors.push(mean(Array.from(coarse, (x, i) => (x - z[i]) ** 2)));
      if (levels === 4) assert.deepEqual(coarse, await quantized.floats());
    }
    for (let level = 1; level < 4; level++) {
      assert.ok(errors[level] < 0.8 * errors[level - 1], `${errors}`);
    }
  },
);

for (const shared of [true, false]) {
  testOnEach(
    devices,
    `the inner quantisers learn from residuals, ${shared ? "together" : "each its own"}`,
    async (device) => {
      const sizes = { codebookSize: K, codebookDim: D };
      const inner = (key: RandomKey) => new EmaQuantizer(device, { ...sizes, key });
      const quantizer = new ResidualQuantizer({ inner, depth: 2, shared, key });
      const twins = quantizer.parts.map(() => inner(key));
      for (const [p, part] of quantizer.parts.entries()) {
        twins[p].loadStateDictionary(await part.stateDictionary());
      }
      const shape = [2, 4, D];
      const features = device.tensor(draw(shape, "features"), shape);
      const result = quantizer.quantize(features, context);
      quantizer.update({ features, ...result }, context);

      const z = await features.floats(), indices = await result.indices.integers();
      const first = device.tensor(indices.filter((_, i) => i % 2 === 0), [8]);
      const codes = await twins[0].lookup(first).floats();
      const rest = z.map((x, i) => x - codes[i]);
      const batches = shared ? [[...z, ...rest]] : [[...z], [...rest]];
      for (const [p, values] of batches.entries()) {
        const own = device.tensor(values, [values.length / D, D]);
        twins[p].update({ features: own, ...twins[p].quantize(own, context) }, context);
        const [expected, got] = await Promise.all(
          [twins[p], quantizer.parts[p]].map((part) => part.stateDictionary()),
        );
        for (const [name, { values }] of expected) {
          assertClose(got.get(name)!.values, values, EQUATIONS, `${name} of ${p}`);
        }
      }
    },
  );
}

Deno.test("with dropout, a fraction of the training steps stops at a random level", async () => {
  using _scope = reference.scope();
  const quantizer = make(reference, { dropout: 0.6 });
  const features = reference.tensor(draw([N, D], "features"), [N, D]);
  const taken = Array.from({ length: 300 }, (_, step) => {
    const result = quantizer.quantize(features, { training: true, key: { ...key, step } });
    quantizer.update({ features, ...result }, { training: true, key });
    return result.indices.shape[1];
  });
  const shares = countsOf(taken, DEPTH + 1).map((count) => count / 300);
  [0, 0.2, 0.2, 0.6].forEach((share, level) =>
    assert.ok(Math.abs(shares[level] - share) < 0.09, `${shares}`)
  );
  const { indices } = quantizer.quantize(features, { training: false, key });
  assert.deepEqual(indices.shape, [N, DEPTH]);
  const again = quantizer.quantize(features, { training: true, key: { ...key, step: 5 } });
  assert.equal(again.indices.shape[1], taken[5], "the same key takes the same levels");
  assert.equal(await again.quantized.floats().then((x) => x.length), N * D);
});

testOnEach(
  devices,
  "other quantisers can be nested, and their codes are looked up by indices",
  async (device) => {
    const fsq = () => new FSQQuantizer(device, { levels: [3, 5, 4] });
    const vanilla = (key: RandomKey) =>
      new VanillaQuantizer(device, { codebookSize: K, codebookDim: D, key });
    const residual = (inner: (key: RandomKey) => Quantizer, shared: boolean) => (key: RandomKey) =>
      new ResidualQuantizer({ inner, depth: 2, shared, key });
    const product = (inner: (key: RandomKey) => Quantizer, shared: boolean) => (key: RandomKey) =>
      new ProductQuantizer({ inner, heads: 2, shared, key });
    const nested: [(key: RandomKey) => Quantizer, axes: number[], size: number, width: number][] = [
      [residual(fsq, true), [2], 60, 3],
      [product(residual(vanilla, false), true), [2, 2], 2 * K, 6],
      [product(residual(vanilla, true), false), [2, 2], 2 * K, 6],
      [residual(product(vanilla, false), false), [2, 2], 4 * K, 6],
    ];
    for (const [make, axes, size, width] of nested) {
      const quantizer = make(key);
      const shape = [2, 3, width];
      const features = device.tensor(draw(shape, "features"), shape);
      const mask = device.tensor(Int32Array.of(1, 1, 0, 1, 0, 0), [2, 3]);
      for (const inner of [context, { ...context, mask }]) {
        const { indices, quantized, usage } = quantizer.quantize(features, inner);
        quantizer.update({ features, indices, quantized, usage } as never, inner);
        const chosen = await indices.integers();
        assert.deepEqual([indices.shape, quantizer.codeAxes], [[2, 3, ...axes], axes]);
        assert.deepEqual([...await usage.integers()], countsOf([...chosen], size));
        assert.ok(chosen.every((index) => index >= -1 && index < size));
        const looked = await quantizer.lookup(indices).floats();
        assert.deepEqual(looked, await quantized.floats());
      }
    }
  },
);
