import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { kMeans } from "../../quantizers/kmeans.ts";
import { kmeansPlusPlus } from "../../quantizers/kmeans_plus_plus.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { type Matrix, mean, nearest, rowsOf, similarity } from "./plain.ts";

const devices = await openTestDevices();

const key = randomKey(2, "k-means");

/** The mean squared distance of rows to their nearest mean. */
const distortion = (rows: Matrix, means: Matrix): number =>
  mean(nearest(rows, means, "l2").map((k, n) => -similarity(rows[n], means[k], "l2")));

/** One pass of Lloyd's algorithm: every mean becomes the mean of its rows. */
function lloyd(rows: Matrix, means: Matrix): number[][] {
  const indices = nearest(rows, means, "l2");
  return means.map((old, k) => {
    const own = rows.filter((_, n) => indices[n] === k);
    return old.map((x, d) => own.length === 0 ? x : mean(own.map((row) => row[d])));
  });
}

testOnEach(
  devices,
  "k-means converges to a point where another iteration changes nothing",
  async (device) => {
    const [N, D, K] = [60, 3, 5], values = draw([N, D], "rows");
    const rows = rowsOf(values, D);
    const after = async (iterations: number) => {
      const options = { count: K, distance: "l2", key, iterations } as const;
      return rowsOf(await kMeans(device.tensor(values, [N, D]), options).floats(), D);
    };
    const start = await after(0), one = await after(1), end = await after(40);
    for (const mean of start) {
      const drawn = rows.filter((row) => -similarity(row, mean, "l2") < 1e-4);
      assert.equal(drawn.length, 1, "it starts from rows");
    }
    assertClose(one.flat(), lloyd(rows, start).flat(), EQUATIONS, "one pass");
    assertClose(end.flat(), lloyd(rows, end).flat(), EQUATIONS, "the end");
    assert.ok(distortion(rows, end) < distortion(rows, one), "lower than after one pass");
    assert.ok(distortion(rows, one) < distortion(rows, start), "lower than at the start");
  },
);

testOnEach(
  devices,
  "with as many means as rows the means are the rows, and with more they all differ",
  async (device) => {
    const [N, D] = [6, 2], values = draw([N, D], "few rows"), rows = device.tensor(values, [N, D]);
    const all = await kMeans(rows, { count: N, distance: "l2", key }).floats();
    assertClose(rowsOf(all, D).sort().flat(), rowsOf(values, D).sort().flat(), EQUATIONS, "rows");
    const more = rowsOf(await kMeans(rows, { count: 40, distance: "l2", key }).floats(), D);
    assert.equal(new Set(more.map(String)).size, 40);
    const [one] = rowsOf(await kMeans(rows, { count: 1, distance: "cos", key }).floats(), D);
    assertClose(
      one,
      [0, 1].map((d) => mean(rowsOf(values, D).map((row) => row[d]))),
      EQUATIONS,
      "1",
    );
  },
);

testOnEach(devices, "masked rows do not affect k-means", async (device) => {
  const [N, D, K] = [30, 2, 4];
  const values = draw([N, D], "masked rows").map((x, i) => i < 2 * 20 ? x : 0);
  const mask = device.tensor(Int32Array.from({ length: N }, (_, n) => n < 20 ? 1 : 0), [N]);
  const options = { count: K, distance: "l2", key, mask, iterations: 30 } as const;
  const means = rowsOf(await kMeans(device.tensor(values, [N, D]), options).floats(), D);
  assertClose(
    means.flat(),
    lloyd(rowsOf(values.slice(0, 40), D), means).flat(),
    EQUATIONS,
    "means",
  );
});

testOnEach(
  devices,
  "k-means++ prefers distant rows, and never chooses a row twice",
  async (device) => {
    // Four heaps of 50 rows, far apart: uniform starts often miss one, spread ones hardly ever.
    const heaps = [[0, 0], [100, 0], [0, 100], [100, 100]];
    const noise = draw([200, 2], "heaps");
    const values = noise.map((x, i) => x + heaps[Math.floor(i / 100)][i % 2]);
    const rows = device.tensor(values, [200, 2]);
    for (let step = 0; step < 20; step++) {
      const spread = rowsOf(await kmeansPlusPlus(rows, 4, "l2", { ...key, step }).floats(), 2);
      const hit = new Set(spread.map(([x, y]) => `${Math.round(x / 100)} ${Math.round(y / 100)}`));
      assert.equal(hit.size, 4, `${spread}`);
    }
    const all = rowsOf(await kmeansPlusPlus(rows, 200, "l2", key).floats(), 2);
    assert.deepEqual(all.map(String).sort(), rowsOf(values, 2).map(String).sort());
  },
);

testOnEach(
  devices,
  "k-means++ draws in proportion to the squared distance",
  async (device) => {
    const rows = device.tensor([0, 1, 3], [3, 1]);
    const second = new Map<number, number>();
    for (let step = 0; step < 300; step++) {
      using _step = device.scope();
      const [first, next] = await kmeansPlusPlus(rows, 2, "l2", { ...key, step }).floats();
      if (first === 0) second.set(next, (second.get(next) ?? 0) + 1);
    }
    const [near, far] = [1, 3].map((row) => second.get(row) ?? 0);
    // From 0, the squared distances are 1 and 9; some 100 draws have a deviation of 3 %.
    assert.ok(Math.abs(far / (near + far) - 0.9) < 0.1, `${far} of ${near + far}`);
  },
);

testOnEach(
  devices,
  "k-means++ with cosine compares directions, and skips masked rows",
  async (device) => {
    const rows = device.tensor([1, 0, 50, 0, 0, 1, 0, -9], [4, 2]);
    const mask = device.tensor(Int32Array.of(1, 1, 1, 0), [4]);
    for (let step = 0; step < 20; step++) {
      const drawn = rowsOf(
        await kmeansPlusPlus(rows, 2, "cos", { ...key, step }, mask).floats(),
        2,
      );
      assert.deepEqual(drawn.map(([x]) => x === 0).sort(), [false, true], `${drawn}`);
      assert.ok(drawn.every(([, y]) => y >= 0), `${drawn}`);
    }
  },
);
