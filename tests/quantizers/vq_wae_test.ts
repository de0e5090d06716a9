import assert from "node:assert/strict";
import { backward } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { VQWAEQuantizer } from "../../quantizers/vq_wae.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { mean, nearest, rowsOf } from "./plain.ts";
import {
  dot,
  judged,
  leaf,
  negativeEntropy,
  plainTransport,
  slopes,
  softmax,
  type Values,
} from "./slopes.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "vq-wae");
const [B, M, K, D] = [3, 2, 4, 3];
const SHAPE = [B, M, D];
const [TRANSPORT, KL, SMOOTHING, PASSES] = [0.2, 0.4, 0.2, 300];

testOnEach(devices, "vq-wae: forward and gradients", async (device) => {
  const quantizer = new VQWAEQuantizer(device, {
    codebookSize: K,
    codebookDim: D,
    transportWeight: TRANSPORT,
    klWeight: KL,
    smoothing: SMOOTHING,
    iterations: PASSES,
    key,
  });
  const { codebook, logWeights } = quantizer;
  codebook.write(draw([K, D], "codes"));
  logWeights.write(draw([K], "weights"));
  const [e, w] = [await codebook.floats(), await logWeights.floats()];
  const z = draw(SHAPE, "features"), upstream = draw(SHAPE, "up");
  const features = leaf(device, z, SHAPE);
  const result = quantizer.quantize(features, { training: true, key });
  const judge = judged(result, device.tensor(upstream, SHAPE));
  const [byFeatures, byCodes, byWeights] = backward(judge, [features, codebook, logWeights]);

  const costsOf = (z: Values, e: Values) =>
    rowsOf(z, D).map((row) =>
      rowsOf(e, D).map((code) => row.reduce((sum, x, d) => sum + (x - code[d]) ** 2, 0))
    );
  const epsilon = SMOOTHING * spreadOf(rowsOf(z, D), rowsOf(e, D), softmax([...w]));
  const shares = Array(B * M).fill(1 / (B * M));
  const transport = (z: Values, e: Values, w: readonly number[]) =>
    TRANSPORT * M * plainTransport(costsOf(z, e), shares, softmax(w), epsilon, PASSES);
  const divergence = (w: readonly number[]) => KL * M * (negativeEntropy(softmax(w)) + Math.log(K));
  const weights = Array.from(w);
  const { losses } = result;
  assertClose(await losses.transport.floats(), [transport(z, e, weights)], EQUATIONS, "W");
  assertClose(await losses.divergence.floats(), [divergence(weights)], EQUATIONS, "KL");
  const ofFeatures = slopes((x) => dot([...x], upstream) + transport(x, e, weights), z);
  assertClose(await byFeatures.floats(), ofFeatures, CANCELLING, "gradient of z");
  assertClose(
    await byCodes.floats(),
    slopes((x) => transport(z, x, weights), e),
    CANCELLING,
    "gradient of e",
  );
  assertClose(
    await byWeights.floats(),
    slopes((x) => transport(z, e, x) + divergence(x), w),
    CANCELLING,
    "gradient of w",
  );
  const indices = nearest(rowsOf(z, D), rowsOf(e, D), "l2");
  assert.deepEqual([...await result.indices.integers()], indices);
});

testOnEach(
  [reference],
  "descending the transport loss alone brings every code into use",
  async (device) => {
    const quantizer = new VQWAEQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
    const { codebook } = quantizer;
    // All codes far off on one side: nearest code finds one of them.
    codebook.write(draw([8, 2], "far", 3, 3.5));
    const features = device.tensor(draw([64, 2], "square"), [64, 2]);
    const used = async () => {
      const { usage } = quantizer.quantize(features, { training: false, key });
      return (await usage.integers()).filter((count) => count > 0).length;
    };
    assert.ok(await used() <= 2);
    for (let step = 0; step < 60; step++) {
      using _scope = device.scope();
      const { losses } = quantizer.quantize(features, { training: true, key });
      const [gradient] = backward(losses.transport, [codebook]);
      const [e, g] = [await codebook.floats(), await gradient.floats()];
      codebook.write(e.map((x, i) => x - 1000 * g[i]));
    }
    assert.equal(await used(), 8);
  },
);

testOnEach(
  devices,
  "evaluation computes no transport, and the state is the codebook and the weights",
  async (device) => {
    const quantizer = new VQWAEQuantizer(device, { codebookSize: K, codebookDim: D, key });
    const { losses } = quantizer.quantize(device.tensor(draw(SHAPE, "z"), SHAPE), {
      training: false,
      key,
    });
    assert.deepEqual(losses, {});
    const state = await quantizer.stateDictionary();
    assert.deepEqual([...state.keys()].sort(), ["codebook", "logWeights"]);
  },
);

/** The deviation of −2·(z − z̄)·(e − ē) over features alike and codes by their shares. */
function spreadOf(z: number[][], e: number[][], shares: number[]): number {
  const center = (rows: number[][], shares: number[]) => {
    const middle = rows[0].map((_, d) => dot(shares, rows.map((row) => row[d])));
    return rows.map((row) => row.map((x, d) => x - middle[d]));
  };
  const [features, codes] = [center(z, z.map(() => 1 / z.length)), center(e, shares)];
  const squares = features.map((row) => dot(shares, codes.map((code) => 4 * dot(row, code) ** 2)));
  return Math.sqrt(mean(squares));
}
