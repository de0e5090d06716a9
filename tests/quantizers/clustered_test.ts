/** The clustered codebook against its equations. */
import assert from "node:assert/strict";
import { assign, backward, parameter } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import type { Device } from "../../core/tensor.ts";
import { PooledAnchors } from "../../quantizers/anchors.ts";
import { type ClusteredOptions, ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import {
  alphas,
  contrastive as contrastiveLoss,
  contrastiveGradient,
  countsOf,
  type Matrix,
  moved,
  nearest,
  quantize,
  rowsOf,
  runningUsage,
} from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(5, "clustered");
const context = (step: number, training = true) => ({ training, key: { ...key, step } });

const [K, D] = [6, 4];
const SHAPE = [4, 5, 3, D];
const N = 60;

const featuresOf = (step: number) => draw(SHAPE, `features ${step}`, -1, 2);

/** The anchors that an update must have used: known for `closest` and `random`, else the features of the batch that
 * explain the codebook best. */
async function anchorsOf(
  quantizer: ClusteredQuantizer,
  before: Matrix,
  features: Matrix,
  alpha: readonly number[],
  { anchor, distance }: Required<Pick<ClusteredOptions, "anchor" | "distance">>,
): Promise<Matrix> {
  if (anchor === "closest") {
    return nearest(before, features, distance).map((n) => features[n]);
  }
  if (quantizer.reanchoring.anchors instanceof PooledAnchors) {
    return rowsOf(await quantizer.reanchoring.anchors.pool.floats(), D);
  }
  const after = rowsOf(await quantizer.codebook.floats(), D);
  return after.map((code, k) => {
    const candidates = features.map((z) => moved([before[k]], [z], [alpha[k]]));
    return features[nearest([code], candidates, "l2")[0]];
  });
}

/** Codes that the features choose more and less often, so that α takes values between 0 and 1. */
const spread = draw([K, D], "codebook").map((x, i) => i < 3 * D ? x : x - 0.4);

const VARIANTS = (["l2", "cos"] as const).flatMap((distance) =>
  (["closest", "random", "probrandom"] as const).flatMap((anchor) =>
    [true, false].flatMap((online) =>
      [true, false].map((contrastive) => ({ distance, anchor, online, contrastive }))
    )
  )
);

for (const variant of VARIANTS) {
  const { distance, anchor, online, contrastive } = variant;
  const name = `${distance}, ${anchor}, ${online ? "online" : "offline"}${
    contrastive ? ", contrastive" : ""
  }`;
  testOnEach(devices, `${name}: losses, gradients and re-anchoring`, async (device) => {
    const [decay, epsilon, temperature, commitmentWeight] = [0.9, 2e-3, 0.8, 0.4];
    const numbers = { decay, epsilon, temperature, commitmentWeight };
    const quantizer = new ClusteredQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      key,
      ...variant,
      ...numbers,
    });
    assign(quantizer.codebook, device.tensor(spread, [K, D]));
    let running: readonly number[] = Array(K).fill(0);
    for (let step = 0; step < 3; step++) {
      const z = featuresOf(step), upstream = draw(SHAPE, `upstream ${step}`);
      const before = rowsOf(await quantizer.codebook.floats(), D), rows = rowsOf(z, D);

      const features = parameter(device.tensor(z, SHAPE));
      const result = quantizer.quantize(features, context(step));
      const losses = Object.values(result.losses).reduce(add);
      const judged = add(losses, sum(mul(result.quantized, device.tensor(upstream, SHAPE))));
      const [byFeatures, byCodebook] = backward(judged, [features, quantizer.codebook]);
      const plain = quantize(rows, before, rowsOf(upstream, D), distance, commitmentWeight);
      assert.deepEqual([...await result.indices.integers()], plain.indices);
      assert.deepEqual([...await result.quantized.floats()], plain.quantized);
      assert.deepEqual([...await result.usage.integers()], countsOf(plain.indices, K));
      assertClose(await result.losses.commitment.floats(), [plain.commitment], EQUATIONS, "β-loss");
      assertClose(await result.losses.codebook.floats(), [plain.codebookLoss], EQUATIONS, "e-loss");
      assertClose(await byFeatures.floats(), plain.byFeatures, EQUATIONS, "gradient of z");
      let slopes = plain.byCodebook;
      assert.equal(result.losses.contrastive !== undefined, contrastive);
      if (contrastive) {
        const loss = contrastiveLoss(before, rows, distance, temperature);
        assertClose(await result.losses.contrastive.floats(), [loss], CANCELLING, "contrastive");
        const more = contrastiveGradient(before, rows, distance, temperature);
        slopes = slopes.map((slope, i) => slope + more[i]);
      }
      assertClose(await byCodebook.floats(), slopes, CANCELLING, "gradient of e");

      quantizer.update({ features, ...result }, context(step));
      running = runningUsage(running, countsOf(plain.indices, K), decay);
      assertClose(await quantizer.reanchoring.runningUsage.floats(), running, EQUATIONS, "N_k");
      const alpha = alphas(running, decay, epsilon);
      const anchored = online || step === 0;
      const expected = anchored
        ? moved(before, await anchorsOf(quantizer, before, rows, alpha, variant), alpha)
        : before.flat();
      assertClose(await quantizer.codebook.floats(), expected, CANCELLING, `codebook ${step}`);
    }
  });
}

testOnEach(devices, "dead codes move onto anchors, codes in use stay", async (device) => {
  const quantizer = new ClusteredQuantizer(device, { codebookSize: 4, codebookDim: 2, key });
  const e = Float32Array.of(1, 0, -1, -1, -1, -1.1, -1.1, -1);
  assign(quantizer.codebook, device.tensor(e, [4, 2]));
  const features = device.tensor([2, 0.1, 2, 0.2], [2, 2]);
  quantizer.update({ features, ...quantizer.quantize(features, context(0)) }, context(0));
  const after = rowsOf(await quantizer.codebook.floats(), 2);
  assert.ok(Math.hypot(after[0][0] - 1, after[0][1]) < 1e-12, "all chose code 0: α = e^−40");
  for (const code of after.slice(1)) {
    assert.ok(Math.hypot(code[0] - 2, code[1] - 0.15) < 0.06, `${code} is near a feature`);
  }
});

testOnEach(
  devices,
  "offline re-anchors on the first batch only, and keeps counting",
  async (device) => {
    for (const anchor of ["closest", "random", "probrandom"] as const) {
      const options = { codebookSize: K, codebookDim: D, key, anchor, online: false };
      const quantizer = new ClusteredQuantizer(device, options);
      const states = [];
      for (let step = 0; step < 3; step++) {
        const features = device.tensor(featuresOf(step), SHAPE);
        quantizer.update(
          { features, ...quantizer.quantize(features, context(step)) },
          context(step),
        );
        states.push(await quantizer.stateDictionary());
      }
      const [first, second, third] = states;
      for (const name of first.keys()) {
        if (name === "reanchoring.runningUsage") {
          assert.notDeepEqual(second.get(name), first.get(name));
        } else assert.deepEqual(third.get(name), first.get(name), `${anchor}: ${name}`);
      }
      assert.deepEqual(first.get("reanchoring.anchored")?.values, Int32Array.of(1));
    }
  },
);

/** What a quantiser's state holds, by how anchors are sampled. */
const STATE = {
  closest: ["codebook", "reanchoring.anchored", "reanchoring.runningUsage"],
  random: [
    "codebook",
    "reanchoring.anchored",
    "reanchoring.anchors.filled",
    "reanchoring.anchors.pool",
    "reanchoring.runningUsage",
  ],
  probrandom: ["codebook", "reanchoring.anchored", "reanchoring.runningUsage"],
} as const;

async function train(
  device: Device,
  quantizer: ClusteredQuantizer,
  steps: readonly number[],
): Promise<void> {
  for (const step of steps) {
    using _step = device.scope();
    const features = device.tensor(featuresOf(step).subarray(0, 4 * D), [4, D]);
    quantizer.update({ features, ...quantizer.quantize(features, context(step)) }, context(step));
  }
  await device.synchronize();
}

for (const anchor of ["closest", "random", "probrandom"] as const) {
  testOnEach(
    devices,
    `${anchor}: all state is saved, and training continues as if uninterrupted`,
    async (device) => {
      for (const online of [true, false]) {
        const options = { codebookSize: K, codebookDim: D, anchor, online };
        const straight = new ClusteredQuantizer(device, { ...options, key });
        await train(device, straight, [0]);
        const saved = await straight.stateDictionary();
        assert.deepEqual([...saved.keys()].sort(), STATE[anchor]);
        assert.deepEqual([...straight.namedParameters().keys()], ["codebook"]);

        const resumed = new ClusteredQuantizer(device, { ...options, key: randomKey(99, "other") });
        resumed.loadStateDictionary(saved);
        assert.deepEqual(await resumed.stateDictionary(), saved);
        await train(device, straight, [1, 2, 3]);
        await train(device, resumed, [1, 2, 3]);
        assert.deepEqual(await resumed.stateDictionary(), await straight.stateDictionary());
      }
    },
  );
}

testOnEach(
  devices,
  "quantising changes no state, in evaluation or in training",
  async (device) => {
    const quantizer = new ClusteredQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      anchor: "random",
      contrastive: true,
      key,
    });
    await train(device, quantizer, [0]);
    const before = await quantizer.stateDictionary();
    const features = device.tensor(featuresOf(1), SHAPE);
    const evaluated = quantizer.quantize(features, context(1, false));
    const trained = quantizer.quantize(features, context(1));
    assert.deepEqual(await quantizer.stateDictionary(), before);
    assert.deepEqual(await evaluated.quantized.floats(), await trained.quantized.floats());
    assert.deepEqual(Object.keys(evaluated.losses).sort(), ["codebook", "commitment"]);
    assert.deepEqual(Object.keys(trained.losses).sort(), ["codebook", "commitment", "contrastive"]);
  },
);

testOnEach(devices, "training steps do not increase the memory in use", async (device) => {
  for (const anchor of ["closest", "random", "probrandom"] as const) {
    const quantizer = new ClusteredQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      anchor,
      key,
    });
    await train(device, quantizer, [0, 1]);
    const live = device.liveBytes;
    await train(device, quantizer, [2, 3, 4]);
    assert.equal(device.liveBytes, live);
    assert.equal(quantizer.codebook.producer, undefined);
  }
});

testOnEach(devices, "the default settings are the paper's", async (device) => {
  const quantizer = new ClusteredQuantizer(device, { key, decay: undefined, distance: undefined });
  assert.deepEqual(quantizer.codebook.shape, [512, 64]);
  assert.deepEqual([...await quantizer.reanchoring.runningUsage.floats()], Array(512).fill(0));
  const greatest = Math.max(...(await quantizer.codebook.floats()).map(Math.abs));
  assert.ok(greatest <= 1 / 512 && greatest > 0.99 / 512);
  const z = draw([N, 64], "defaults"), rows = rowsOf(z, 64);
  const before = rowsOf(await quantizer.codebook.floats(), 64);
  const features = device.tensor(z, [N, 64]);
  const result = quantizer.quantize(features, context(0));
  quantizer.update({ features, ...result }, context(0));
  const indices = nearest(rows, before, "cos");
  assert.deepEqual([...await result.indices.integers()], indices);
  const running = runningUsage(Array(512).fill(0), countsOf(indices, 512), 0.99);
  const anchors = nearest(before, rows, "cos").map((n) => rows[n]);
  const expected = moved(before, anchors, alphas(running, 0.99, 1e-3));
  assertClose(await quantizer.codebook.floats(), expected, CANCELLING, "codebook");
});

testOnEach(devices, "invalid settings and shapes are rejected", (device) => {
  const make = (options: Partial<ClusteredOptions>) => () =>
    new ClusteredQuantizer(device, { codebookSize: K, codebookDim: D, key, ...options });
  const refused = (message: RegExp) => ({ name: "RangeError", message });
  assert.throws(make({ codebookSize: 0 }), refused(/codebookSize must be .* got 0$/));
  assert.throws(make({ codebookDim: 1.5 }), refused(/codebookDim must be .* got 1.5$/));
  for (const decay of [1, -0.1, NaN]) {
    assert.throws(make({ decay }), refused(/decay must be .*\[0, 1\).*, got/));
  }
  for (const temperature of [0, -1]) {
    assert.throws(make({ temperature }), refused(/temperature must be .* got/));
  }
  assert.throws(
    make({ anchor: "nearest" as "closest" }),
    refused(/anchor must be .* got "nearest"$/),
  );
  const features = zeros(device, [8, D + 1]);
  assert.throws(() => make({})().quantize(features, context(0)), {
    name: "TypeError",
    message: "Cannot quantize: the last axis must be 4, got shape [8, 5]",
  });
});
