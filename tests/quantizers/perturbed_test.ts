/** Codes that training replaces by near ones. */
import assert from "node:assert/strict";
import { backward, parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { FSQQuantizer } from "../../quantizers/fsq.ts";
import { PerturbedCodes } from "../../quantizers/perturbed.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();

const key = randomKey(9, "perturbed");
const [N, K, D] = [200, 32, 3];

const gap = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((x, d) => x - b[d]));

/** The vectors of length D. */
function vectorsOf(values: Float32Array): Float32Array[] {
  return Array.from(
    { length: values.length / D },
    (_, row) => values.subarray(row * D, row * D + D),
  );
}

/** The rank of every code among the neighbours of every code, which itself has rank 1. */
function ranksOf(codes: readonly Float32Array[]): number[][] {
  return codes.map((a) => {
    const gaps = codes.map((b) => gap(a, b));
    return gaps.map((own) => gaps.filter((other) => other < own).length + 1);
  });
}

testOnEach(
  devices,
  "the other codes have the given probability, and ranks with the given mean",
  async (device) => {
    const inner = new VanillaQuantizer(device, { codebookSize: K, codebookDim: D, key });
    inner.codebook.write(draw([K, D], "codes"));
    const codes = vectorsOf(await inner.codebook.floats()), rank = ranksOf(codes);
    const features = device.tensor(draw([N, D], "features"), [N, D]);
    for (const [perturbation, reach] of [[0.25, 4], [1, 4], [0.5, K]] as const) {
      const quantizer = new PerturbedCodes(inner, { perturbation, perturbationReach: reach });
      let other = 0, ranks = 0, count = 0;
      const places = new Set<number>();
      for (let step = 0; step < 40; step++) {
        using _scope = device.scope();
        const context = { training: true, key: { ...key, step } };
        const { quantized, indices } = quantizer.quantize(features, context);
        const chosen = await indices.integers();
        assert.deepEqual(chosen, await inner.quantize(features, context).indices.integers());
        for (const [row, vector] of vectorsOf(await quantized.floats()).entries()) {
          const code = codes.findIndex((one) => gap(one, vector) < 1e-5);
          if (code !== chosen[row]) {
            places.add(code);
            other++;
          }
          ranks += rank[chosen[row]][code];
          count++;
        }
      }
      // A code is in the part with probability 1/reach, and then replaces itself.
      const share = perturbation * (1 - 1 / reach);
      assert.ok(Math.abs(other / count - share) < 0.06, `${other / count}, expected ${share}`);
      // The mean over parts of size s of the smallest rank in it is (K + 1)/(s + 1).
      const mean = 1 - perturbation + perturbation * (K + 1) / (K / reach + 1);
      assert.ok(Math.abs(ranks / count - mean) < 0.15 * mean, `${ranks / count}, expected ${mean}`);
      assert.ok(places.size > K / 2, "every step has another part");
    }
  },
);

testOnEach(
  devices,
  "the gradient, the losses and evaluation are those of the inner quantizer",
  async (device) => {
    const inner = new VanillaQuantizer(device, { codebookSize: K, codebookDim: D, key });
    const quantizer = new PerturbedCodes(inner, { perturbation: 0.5, perturbationReach: 4 });
    const z = draw([7, D], "features"), up = draw([7, D], "upstream");
    const results = [inner, quantizer].map((one: Quantizer) => {
      const features = parameter(device.tensor(z, [7, D]));
      const { quantized, losses } = one.quantize(features, { training: true, key });
      const judged = sum(mul(quantized, device.tensor(up, [7, D])));
      return [...backward(judged, [features]), ...Object.values(losses)];
    });
    for (const [index, plain] of results[0].entries()) {
      assertClose(
        await results[1][index].floats(),
        [...await plain.floats()],
        EQUATIONS,
        `result ${index}`,
      );
    }
    const features = device.tensor(z, [7, D]), context = { training: false, key };
    assert.deepEqual(
      await quantizer.quantize(features, context).quantized.floats(),
      await inner.quantize(features, context).quantized.floats(),
    );
  },
);

testOnEach(
  devices,
  "padding stays zero, a feature that is not finite stays NaN, and one code is enough",
  async (device) => {
    const config = { type: "vanilla", codebookDim: D, perturbation: 1 } as const;
    const values = draw([4, D], "features");
    values[0] = NaN;
    const features = device.tensor(values, [4, D]), mask = device.tensor([1, 1, 0, 1], [4]);
    for (const codebookSize of [1, 5]) {
      const quantizer = createQuantizer(device, { ...config, codebookSize }, key);
      const { quantized } = quantizer.quantize(features, { training: true, key, mask });
      const found = await quantized.floats();
      assert.ok(found.slice(0, D).every(Number.isNaN));
      assert.ok(found.slice(D).every(Number.isFinite));
      assert.deepEqual([...found.slice(2 * D, 3 * D)], [0, 0, 0]);
    }
  },
);

Deno.test("only a codebook can be perturbed, and only outside a composite quantizer", async () => {
  using device = await openDevice("reference");
  const levels = new FSQQuantizer(device, { levels: [3, 3] });
  const settings = { perturbation: 0.5, perturbationReach: 4 };
  const features = device.tensor([1, 2], [1, 2]);
  assert.throws(
    () => new PerturbedCodes(levels, settings).quantize(features, { training: true, key }),
    /^TypeError: Cannot perturb codes: the inner quantizer must keep a codebook, got FSQQuantizer$/,
  );
  const inner = { type: "vanilla", codebookSize: 4, codebookDim: 2, perturbation: 0.5 };
  const config = { type: "residual", inner } as Parameters<typeof createQuantizer>[1];
  assert.throws(() => createQuantizer(device, config, key), /perturbation/);
});
