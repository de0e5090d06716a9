/** The codebook of moving averages against its equations. */
import assert from "node:assert/strict";
import { assign, backward, parameter } from "../../core/execute.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import { EmaQuantizer } from "../../quantizers/ema.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { countsOf, quantize, rowsOf } from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(6, "ema");
const contextOf = (step: number) => ({ training: true, key: { ...key, step } });
const [K, D, N] = [5, 3, 20];

for (const distance of ["l2", "cos"] as const) {
  testOnEach(devices, `${distance}: losses, gradients and moving averages`, async (device) => {
    const [decay, epsilon, commitmentWeight] = [0.8, 0.3, 0.4];
    const quantizer = new EmaQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      distance,
      commitmentWeight,
      decay,
      epsilon,
      key,
    });
    let e = rowsOf(await quantizer.codebook.floats(), D);
    let sizes = e.map(() => 1), sums = e;
    for (let step = 0; step < 4; step++) {
      const z = draw([N, D], `batch ${step}`, -1, 2), up = draw([N, D], `up ${step}`);
      const features = parameter(device.tensor(z, [N, D])), rows = rowsOf(z, D);
      const result = quantizer.quantize(features, contextOf(step));
      const plain = quantize(rows, e, rowsOf(up, D), distance, commitmentWeight);
      assert.deepEqual([...await result.indices.integers()], plain.indices);
      assert.deepEqual(Object.keys(result.losses), ["commitment"]);
      assertClose(await result.losses.commitment.floats(), [plain.commitment], EQUATIONS, "β-loss");
      const judged = add(
        result.losses.commitment,
        sum(mul(result.quantized, device.tensor(up, [N, D]))),
      );
      const [gradient] = backward(judged, [features]);
      assertClose(await gradient.floats(), plain.byFeatures, EQUATIONS, "gradient of z");

      assert.deepEqual(quantizer.update({ features, ...result }, contextOf(step)), []);
      const counts = countsOf(plain.indices, K);
      sizes = sizes.map((size, k) => decay * size + (1 - decay) * counts[k]);
      sums = sums.map((row, k) =>
        row.map((x, d) =>
          decay * x + (1 - decay) *
            rows.reduce((total, z, n) => total + (plain.indices[n] === k ? z[d] : 0), 0)
        )
      );
      const total = sizes.reduce((sum, size) => sum + size);
      e = sums.map((row, k) =>
        row.map((x) => x / ((sizes[k] + epsilon) / (total + K * epsilon) * total))
      );
      assertClose(await quantizer.clusterSizes.floats(), sizes, EQUATIONS, "N");
      assertClose(await quantizer.clusterSums.floats(), sums.flat(), EQUATIONS, "m");
      assertClose(await quantizer.codebook.floats(), e.flat(), EQUATIONS, "codebook");
      e = rowsOf(await quantizer.codebook.floats(), D);
    }
  });
}

testOnEach(devices, "codes get no gradient and are not parameters", (device) => {
  const quantizer = new EmaQuantizer(device, { codebookSize: K, codebookDim: D, key });
  assert.equal(quantizer.parameters().length, 0);
  assert.throws(() => new EmaQuantizer(device, { key, orthogonality: 1 } as { key: typeof key }), {
    name: "RangeError",
    message: /no setting orthogonality/,
  });
});

testOnEach(
  devices,
  "a replaced code stays in place, because its averages are reset",
  async (device) => {
    const options = {
      codebookSize: 3,
      codebookDim: 2,
      replaceBelow: 2,
      decay: 0.9,
      epsilon: 1e-9,
      key,
    };
    const quantizer = new EmaQuantizer(device, options);
    assign(quantizer.codebook, device.tensor([5, 5, -9, -9, -9, -8], [3, 2]));
    assign(quantizer.clusterSums, device.tensor([5, 5, -9, -9, -9, -8], [3, 2]));
    const features = device.tensor(Float32Array.from({ length: 12 }, (_, i) => 5 + i / 10), [6, 2]);
    const result = quantizer.quantize(features, contextOf(0));
    const [{ share, forgets, codes }] = quantizer.update({ features, ...result }, contextOf(0));
    assert.deepEqual([[...await share.floats()], forgets], [[0, 1, 1], true]);
    assert.equal(codes, quantizer.codebook);
    const put = rowsOf(await quantizer.codebook.floats(), 2).slice(1);
    for (const [x] of put) assert.ok(x >= 5, `${x} is a feature's`);
    assert.deepEqual([...await quantizer.clusterSizes.floats()].slice(1), [1, 1]);
    assert.deepEqual(rowsOf(await quantizer.clusterSums.floats(), 2).slice(1), put);
    // The averages alone, as in a step in which nothing chooses the codes.
    const none = device.tensor(new Int32Array(6).fill(0), [6]);
    const usage = device.tensor(Int32Array.of(6, 2, 2), [3]);
    quantizer.update({ features, indices: none, usage }, contextOf(1));
    const after = rowsOf(await quantizer.codebook.floats(), 2).slice(1);
    const expected = put.map((row) => row.map((x) => 0.9 * x / (0.9 + 0.1 * 2)));
    assertClose(after.flat(), expected.flat(), EQUATIONS, "m decays from where it was put");
  },
);
