import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bestRow,
  clearWinner,
  comparedMeasures,
  pairedDifference,
  showDifference,
} from "../../studies/differences.ts";
import type { StudyRun } from "../../studies/records.ts";
import type { StudyRow } from "../../studies/rows.ts";

/** A row whose test mse is given by seed. */
function row(name: string, errors: Readonly<Record<number, number>>): StudyRow {
  const runs = Object.entries(errors).map(([seed, mse]): StudyRun => ({
    ...{ point: { method: name }, seed: Number(seed), hash: "", folder: "", state: "finished" },
    ...{ failure: null, steps: 1, device: "cpu", protocol: "aa" },
    measured: {
      usage: 1 - mse,
      perplexity: 2,
      mse,
      psnr: 12,
      sharpness: null,
      secondsPerStep: mse,
    },
  }));
  return { point: { method: name }, name, label: name, runs };
}

const values = fc.dictionary(
  fc.integer({ min: 0, max: 30 }).map(String),
  fc.double({ min: 0, max: 1, noNaN: true }),
  { minKeys: 1, maxKeys: 25 },
);

Deno.test("a paired difference uses the seeds that both rows have", () => {
  fc.assert(fc.property(values, values, (first, second) => {
    const found = pairedDifference(row("a", first), row("b", second), "usage");
    const seeds = Object.keys(first).filter((seed) => seed in second);
    if (seeds.length === 0) return assert.equal(found, null);
    const all = seeds.map((seed) => 100 * ((1 - first[seed]) - (1 - second[seed])));
    const n = all.length, total = all.reduce((sum, value) => sum + value, 0);
    const squares = all.reduce((sum, value) => sum + value * value, 0);
    const variance = (squares - total * total / n) / (n - 1);
    assert.equal(found?.pairs, n);
    assert.ok(Math.abs(found.mean - total / n) < 1e-9);
    if (n === 1) assert.equal(found.deviation, null);
    else assert.ok(Math.abs(found.deviation! ** 2 - variance) < 1e-6);
    const back = pairedDifference(row("b", second), row("a", first), "usage");
    assert.ok(Math.abs(back!.mean + found.mean) < 1e-9);
    assert.equal(back!.isClear, found.isClear);
  }));
});

Deno.test("between equal rows one in twenty differences is called clear, for any number of seeds", () => {
  const random = normals();
  for (const seeds of [2, 3, 6, 15]) {
    const draw = () => row("", Object.fromEntries(Array.from({ length: seeds }, random).entries()));
    const trials = 4000;
    const clear = Array.from({ length: trials }, () => pairedDifference(draw(), draw(), "mse"))
      .filter((difference) => difference?.isClear).length;
    // Five deviations of the binomial around 5 %.
    assert.ok(Math.abs(clear / trials - 0.05) < 0.0175, `${clear} of ${trials}, ${seeds} seeds`);
  }
});

/** Normal numbers, the same at every call of the test (Box and Muller over a Lehmer generator). */
function normals(): () => number {
  let state = 42;
  const uniform = () => (state = state * 48271 % 2147483647) / 2147483647;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

Deno.test("the winner has the best mean and a clear difference to every other row", () => {
  const best = row("best", { 1: 0.1, 2: 0.2, 3: 0.3 });
  const near = row("near", { 1: 0.101, 2: 0.202, 3: 0.301 });
  const far = row("far", { 1: 0.5, 2: 0.6, 3: 0.71 });
  assert.equal(clearWinner([far, best], "mse"), best);
  assert.equal(clearWinner([near, far, best], "mse"), null, "0.0013 ± 0.0006, t 4.3");
  assert.equal(bestRow([near, far, best], "mse"), best);
  const clear = row("near", { 1: 0.101, 2: 0.2011, 3: 0.301 });
  assert.equal(
    clearWinner([clear, far, best], "mse"),
    best,
    "the seeds differ, their pairs do not",
  );
  assert.equal(clearWinner([best, far], "usage"), best, "more is better");
  assert.equal(clearWinner([best, far], "perplexity"), null, "a tie");
  assert.equal(clearWinner([best, far], "secondsPerStep"), null, "also the machine's");
  assert.equal(clearWinner([best], "mse"), null, "there is none to beat");
});

Deno.test("there is no winner with one seed, or with seeds that only one of two rows has", () => {
  const one = row("one", { 1: 0.1 }), other = row("other", { 1: 0.9 });
  assert.equal(clearWinner([one, other], "mse"), null);
  assert.deepEqual(comparedMeasures([one, other], ["mse", "usage"]), []);
  const more = row("more", { 2: 0.9, 3: 0.9, 4: 0.9 });
  assert.equal(clearWinner([row("less", { 1: 0.1, 5: 0.1 }), more], "mse"), null);
});

Deno.test("a difference is shown with its sign, its deviation, and a star if it is clear", () => {
  const best = row("best", { 1: 0.1, 2: 0.2, 3: 0.3 });
  const show = (errors: Readonly<Record<number, number>>) =>
    showDifference(row("", errors), best, "mse");
  assert.equal(showDifference(best, best, "mse"), "best");
  assert.equal(show({ 1: 0.2, 2: 0.3, 3: 0.401 }), "+0.10033 ± 0.00058 *");
  assert.equal(show({ 1: 0.2, 2: 0.2, 3: 0.3 }), "+0.03333 ± 0.05774");
  assert.equal(show({ 3: 0.2 }), "−0.10000");
  assert.equal(show({ 4: 0.2 }), "–");
});
