/** The pieces that every codebook takes, each against its equations. */
import assert from "node:assert/strict";
import { assign, backward, parameter } from "../../core/execute.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { Adam } from "../../nn/optimizers.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { EmaQuantizer } from "../../quantizers/ema.ts";
import { orthogonalityLoss } from "../../quantizers/orthogonality.ts";
import { ProjectedQuantizer } from "../../quantizers/projected.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { type Matrix, nearest, quantize, rowsOf, similarity } from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(8, "codebook");
const context = { training: true, key };
const [K, D, N] = [5, 3, 24];
const options = { codebookSize: K, codebookDim: D, key };
const z = draw([N, D], "features", -1, 2);

/** Each row at length 1. */
const units = (rows: Matrix): number[][] =>
  rows.map((row) => row.map((x) => x / Math.hypot(...row)));

/** The gradient by rows of what has a gradient by the rows at length 1: (g − r̂·(r̂·g))/‖r‖. */
function throughUnits(rows: Matrix, gradients: Matrix): number[] {
  return units(rows).flatMap((unit, n) => {
    const along = unit.reduce((total, x, d) => total + x * gradients[n][d], 0);
    return unit.map((x, d) => (gradients[n][d] - x * along) / Math.hypot(...rows[n]));
  });
}

testOnEach(devices, "with unitLength, the quantiser works on directions", async (device) => {
  const quantizer = new VanillaQuantizer(device, { ...options, unitLength: true });
  for (const row of rowsOf(await quantizer.codebook.floats(), D)) {
    assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-6, "codes start at length 1");
  }
  const e = draw([K, D], "codes"), up = draw([N, D], "up");
  assign(quantizer.codebook, device.tensor(e, [K, D]));
  const features = parameter(device.tensor(z, [N, D]));
  const result = quantizer.quantize(features, context);
  const plain = quantize(units(rowsOf(z, D)), units(rowsOf(e, D)), rowsOf(up, D), "l2", 0.25);
  assert.deepEqual([...await result.indices.integers()], plain.indices);
  assertClose(await result.quantized.floats(), plain.quantized, EQUATIONS, "quantized");
  assertClose(await result.losses.codebook.floats(), [plain.codebookLoss], EQUATIONS, "e-loss");
  const judged = add(
    Object.values(result.losses).reduce(add),
    sum(mul(result.quantized, device.tensor(up, [N, D]))),
  );
  const [byFeatures, byCodebook] = backward(judged, [features, quantizer.codebook]);
  const slopes = throughUnits(rowsOf(z, D), rowsOf(plain.byFeatures, D));
  assertClose(await byFeatures.floats(), slopes, EQUATIONS, "gradient of z");
  const codeSlopes = throughUnits(rowsOf(e, D), rowsOf(plain.byCodebook, D));
  assertClose(await byCodebook.floats(), codeSlopes, CANCELLING, "gradient of e");
});

testOnEach(
  devices,
  "k-means initialises a codebook on the first training batch only",
  async (device) => {
    for (const Method of [VanillaQuantizer, EmaQuantizer, ClusteredQuantizer]) {
      const quantizer = new Method(device, {
        ...options,
        distance: "l2",
        initialization: "kmeans",
      });
      const features = device.tensor(z, [N, D]);
      quantizer.begin(features, { training: false, key });
      quantizer.quantize(features, context);
      assert.equal(quantizer.initialized?.value, 0, "evaluation and quantising leave it");
      assert.throws(
        () => quantizer.update({ features, ...quantizer.quantize(features, context) }, context),
        {
          message:
            /^Cannot update the codebook: begin must have initialised its codes by k-means, got no call of begin$/,
        },
      );
      quantizer.begin(features, context);
      const { losses } = quantizer.quantize(features, context);
      assert.equal(quantizer.initialized?.value, 1);
      const means = rowsOf(await quantizer.codebook.floats(), D), rows = rowsOf(z, D);
      const chosen = nearest(rows, means, "l2");
      const error = rows.reduce((s, row, n) => s - similarity(row, means[chosen[n]], "l2"), 0);
      const commitment = await losses.commitment.item();
      assertClose([commitment], [0.25 * error / (N * D)], EQUATIONS, "this batch has the means");
      if (quantizer instanceof EmaQuantizer) {
        assert.deepEqual(await quantizer.clusterSums.floats(), await quantizer.codebook.floats());
      }
      const other = device.tensor(draw([N, D], "other"), [N, D]);
      quantizer.begin(other, context);
      quantizer.quantize(other, context);
      assert.deepEqual(rowsOf(await quantizer.codebook.floats(), D), means, "and keeps them");
      assert.equal((await quantizer.stateDictionary()).get("initialized")?.values[0], 1);
    }
  },
);

testOnEach(devices, "a frozen codebook has no gradient and no update", async (device) => {
  const frozen = { ...options, frozen: true, replaceBelow: 100 };
  for (const Method of [VanillaQuantizer, EmaQuantizer, ClusteredQuantizer]) {
    const quantizer = new Method(device, frozen);
    const before = await quantizer.stateDictionary();
    assert.equal(quantizer.parameters().length, 0);
    const features = parameter(device.tensor(z, [N, D]));
    const result = quantizer.quantize(features, context);
    assert.deepEqual(Object.keys(result.losses), ["commitment"]);
    backward(result.losses.commitment, [features]);
    assert.deepEqual(quantizer.update({ features, ...result }, context), []);
    assert.deepEqual(await quantizer.stateDictionary(), before);
  }
  const loaded = new VanillaQuantizer(device, frozen);
  loaded.loadStateDictionary(await new VanillaQuantizer(device, frozen).stateDictionary());
});

/** ‖ĈĈᵀ − I‖²/K², K × K. */
function orthogonality(codes: Matrix): number {
  const all = units(codes);
  const cosines = all.flatMap((a, i) =>
    all.map((b, j) => a.reduce((total, x, d) => total + x * b[d], i === j ? -1 : 0))
  );
  return cosines.reduce((total, cosine) => total + cosine ** 2, 0) / codes.length ** 2;
}

testOnEach(
  devices,
  "the orthogonality loss equals that of the K × K matrix, without computing it",
  async (device) => {
    const e = draw([K, D], "codes"), codes = parameter(device.tensor(e, [K, D]));
    const loss = orthogonalityLoss(codes), rows = rowsOf(e, D), step = 1e-5;
    assertClose(await loss.floats(), [orthogonality(rows)], CANCELLING, "loss");
    const slopes = rows.flatMap((row, k) =>
      row.map((_, d) => {
        const at = (by: number) =>
          orthogonality(rows.map((r, i) => r.map((x, c) => i === k && c === d ? x + by : x)));
        return (at(step) - at(-step)) / (2 * step);
      })
    );
    assertClose(await backward(loss, [codes])[0].floats(), slopes, CANCELLING, "gradient");
    const apart = orthogonalityLoss(device.tensor([2, 0, 0, 0, 3, 0, 0, 0, -1], [3, 3]));
    assert.ok(Math.abs(await apart.item()) < 1e-6);
    const quantizer = new VanillaQuantizer(device, { ...options, orthogonality: 3 });
    assign(quantizer.codebook, codes);
    const { losses } = quantizer.quantize(device.tensor(z, [N, D]), context);
    assertClose(await losses.orthogonality.floats(), [3 * orthogonality(rows)], CANCELLING, "3");
  },
);

testOnEach(
  devices,
  "a lookup in fewer dimensions has projections before and after it",
  async (device) => {
    const settings = { codebookSize: K, codebookDim: 8, lookupDim: D };
    const quantizer = createQuantizer(device, { type: "vanilla", ...settings }, key);
    assert.ok(quantizer instanceof ProjectedQuantizer);
    assert.deepEqual([quantizer.codebookDim, quantizer.codebookSize], [8, K]);
    assert.deepEqual([...quantizer.namedParameters()].map(([name, { shape }]) => [name, shape]), [
      ["into.weight", [8, D]],
      ["into.bias", [D]],
      ["inner.codebook", [K, D]],
      ["out.weight", [D, 8]],
      ["out.bias", [8]],
    ]);
    const features = parameter(device.tensor(draw([N, 8], "wide"), [N, 8]));
    const { quantized, indices, losses } = quantizer.quantize(features, context);
    const inner = quantizer.inner.quantize(quantizer.into.forward(features), context);
    assert.deepEqual(await indices.integers(), await inner.indices.integers());
    const expected = await quantizer.out.forward(inner.quantized).floats();
    assert.deepEqual(await quantized.floats(), expected);
    assert.deepEqual(await losses.codebook.item(), await inner.losses.codebook.item());
    const [gradient] = backward(sum(quantized), [features]);
    const straight = sum(quantizer.out.forward(quantizer.into.forward(features)));
    assertClose(
      await gradient.floats(),
      await backward(straight, [features])[0].floats(),
      EQUATIONS,
      "the gradient passes as if nothing was quantised between",
    );
    assert.throws(() => quantizer.quantize(device.tensor(z, [N, D]), context), {
      name: "TypeError",
      message: "Cannot quantize: the last axis must be 8, got shape [24, 3]",
    });
    const wrong = { type: "vanilla", lookupDim: 0 };
    assert.throws(() => createQuantizer(device, wrong, key), /lookupDim must be .* got 0$/);
  },
);

testOnEach(devices, "clustered: moments are kept, or decay by α if requested", async (device) => {
  for (const resetMoments of [false, true]) {
    const quantizer = new ClusteredQuantizer(device, { ...options, decay: 0.9, resetMoments });
    const features = device.tensor(z, [N, D]);
    const [move] = quantizer.update(
      { features, ...quantizer.quantize(features, context) },
      context,
    );
    assert.equal(move.forgets, resetMoments);
    const running = await quantizer.reanchoring.runningUsage.floats();
    const alpha = Array.from(running, (share) => Math.exp(-share * K * 10 / 0.1 - 1e-3));
    assertClose(await move.share.floats(), alpha, CANCELLING, "α");
  }
});

testOnEach(devices, "an optimiser can decay the moments of a parameter by row", async (device) => {
  const weight = parameter(device.tensor(draw([3, 2], "weight"), [3, 2]));
  const other = parameter(device.tensor([1, 2], [2]));
  const adam = new Adam(new Map([["weight", weight], ["other", other]]));
  adam.step([device.tensor(draw([3, 2], "gradient"), [3, 2]), device.tensor([3, 4], [2])], 0.1);
  const before = await adam.stateDictionary();
  const share = device.tensor([0, 1, 0.25], [3]);
  adam.forget(weight, share);
  adam.forget(device.tensor([0, 0, 0], [3]), share); // not one of its parameters
  const after = await adam.stateDictionary();
  for (const [name, { values }] of before) {
    const kept = name.endsWith("weight")
      ? Array.from(values, (value, i) => value * [1, 0, 0.75][Math.floor(i / 2)])
      : values;
    assertClose(after.get(name)!.values, kept, EQUATIONS, name);
  }
});

testOnEach(
  devices,
  "masks of another shape, and masks where none is supported, are rejected",
  (device) => {
    const quantizer = new VanillaQuantizer(device, options);
    const features = device.tensor(z, [4, 6, D]);
    const mask = device.tensor(new Float32Array(N), [N]);
    assert.throws(() => quantizer.quantize(features, { ...context, mask }), {
      name: "TypeError",
      message: "Cannot mask features: the mask must be [4, 6], got [24]",
    });
    const contrastive = new ClusteredQuantizer(device, { ...options, contrastive: true });
    const rows = device.tensor(z, [N, D]);
    assert.throws(() => contrastive.quantize(rows, { ...context, mask }), {
      name: "TypeError",
      message: /^Cannot take the contrastive loss: no feature may be masked/,
    });
  },
);
