/** The clustered codebook of moving averages against its equations. */
import assert from "node:assert/strict";
import { assign } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { ClusteredEmaQuantizer } from "../../quantizers/clustered_ema.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { alphas, countsOf, moved, nearest, rowsOf, runningUsage } from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(6, "clustered ema");
const contextOf = (step: number) => ({ training: true, key: { ...key, step } });
const [K, D, N] = [6, 3, 20];

for (const distance of ["l2", "cos"] as const) {
  testOnEach(devices, `${distance}: averages, then anchors, then new averages`, async (device) => {
    const [decay, epsilon] = [0.8, 1e-5];
    const sizes = { codebookSize: K, codebookDim: D };
    const quantizer = new ClusteredEmaQuantizer(device, {
      ...sizes,
      initialization: "uniform",
      distance,
      decay,
      key,
    });
    let e = rowsOf(await quantizer.codebook.floats(), D), m = e;
    let n = e.map(() => 1), running = e.map(() => 0);
    for (let step = 0; step < 5; step++) {
      const z = draw([N, D], `batch ${step}`, -1, 2), rows = rowsOf(z, D);
      const features = device.tensor(z, [N, D]);
      const result = quantizer.quantize(features, contextOf(step));
      const indices = nearest(rows, e, distance), counts = countsOf(indices, K);
      assert.deepEqual([...await result.indices.integers()], indices);

      const [move] = quantizer.update({ features, ...result }, contextOf(step));
      n = n.map((size, k) => decay * size + (1 - decay) * counts[k]);
      m = m.map((row, k) =>
        row.map((x, d) => {
          const sum = rows.reduce((sum, z, i) => sum + (indices[i] === k ? z[d] : 0), 0);
          return decay * x + (1 - decay) * sum;
        })
      );
      const all = n.reduce((sum, size) => sum + size);
      e = m.map((row, k) => row.map((x) => x / ((n[k] + epsilon) / (all + K * epsilon) * all)));
      running = runningUsage(running, counts, decay);
      const alpha = alphas(running, decay, 1e-3);
      const anchors = nearest(e, rows, distance).map((feature) => rows[feature]);
      e = rowsOf(moved(e, anchors, alpha), D);
      n = n.map((size, k) => (1 - alpha[k]) * size + alpha[k]);
      m = rowsOf(moved(m, e, alpha), D);

      assert.deepEqual([move.codes, move.forgets], [quantizer.codebook, true]);
      assertClose(await move.share.floats(), alpha, EQUATIONS, "α");
      assertClose(await quantizer.codebook.floats(), e.flat(), CANCELLING, "codebook");
      assertClose(await quantizer.clusterSizes.floats(), n, EQUATIONS, "N");
      assertClose(await quantizer.clusterSums.floats(), m.flat(), CANCELLING, "m");
      e = rowsOf(await quantizer.codebook.floats(), D);
    }
  });
}

testOnEach(
  devices,
  "a re-anchored code stays in place, and a used one follows its features",
  async (device) => {
    const options = { codebookSize: 3, codebookDim: 2, initialization: "uniform", key } as const;
    const quantizer = new ClusteredEmaQuantizer(device, options);
    const start = device.tensor([5, 5, -9, -9, -9, -8], [3, 2]);
    assign(quantizer.codebook, start);
    assign(quantizer.clusterSums, start);
    const features = device.tensor([5, 5, 6, 6, 6, 7], [3, 2]);
    const result = quantizer.quantize(features, contextOf(0));
    quantizer.update({ features, ...result }, contextOf(0));
    const [used, ...revived] = rowsOf(await quantizer.codebook.floats(), 2);
    assert.ok(used[0] > 5 && used[0] < 6, `${used} went towards the mean of its features`);
    for (const [x] of revived) assert.ok(Math.abs(x - 5) < 0.1, `${x} is near the closest feature`);
  },
);
