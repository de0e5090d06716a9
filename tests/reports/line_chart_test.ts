import assert from "node:assert/strict";
import { drawLines, valueRange } from "../../reports/line_chart.ts";
import { logScale, showTick } from "../../reports/scale.ts";

const line = (...values: number[]) => ({
  classes: "line",
  title: "a run",
  points: values.map((value, step) => [step, value] as const),
});

const usual = [line(2, 0.5), line(3, 0.2), line(1, 0.1)], exploding = line(2, 1e20);

Deno.test("a diverging run does not flatten the others, and on its own is drawn completely", () => {
  const all = [...usual, exploding];
  assert.deepEqual(valueRange(usual, 1000, true), [0.1, 3]);
  assert.deepEqual(valueRange(all, 1000, true), [0.1, 3]);
  assert.deepEqual(valueRange([exploding], 1000, true), [2, 1e20]);
  assert.deepEqual(valueRange([line(20, 24), line(21, 22), line(18, -194)], 30, false), [20, 24]);
  assert.deepEqual(valueRange([], 30, false), [0, 1]);
  const yOf = (markup: unknown) =>
    [...String(markup).matchAll(/[\d.]+,(-?[\d.]+)/g)].map(([, y]) => Number(y));
  const inside = yOf(drawLines(all, "Loss", { logarithmic: true, reach: 1000 }));
  assert.ok(inside.every((y) => y >= 12 && y <= 204), `${inside}`);
  assert.ok(Math.max(...inside) - Math.min(...inside) > 150, "the others have the whole chart");
});

Deno.test("the range of an axis includes all values within the limit, however much the lines differ", () => {
  const [low, high] = valueRange([line(1, 0.001), line(10, 5), line(90, 300)], 1000, true);
  assert.deepEqual([low, high], [0.001, 300]);
  assert.deepEqual(valueRange([line(2, 382), line(1, 2)], Infinity, false), [1, 382]);
});

Deno.test("a logarithmic scale over many powers labels only some of them", () => {
  for (const [low, high] of [[1e-3, 1e25], [0.02, 1e4], [5, 5], [1e-30, 1e30]] as const) {
    const { ticks, at } = logScale([low, high], [0, 100]);
    assert.ok(ticks.length >= 2 && ticks.length <= 11, `${ticks}`);
    assert.ok(at(low) >= 0 && at(high) <= 100 + 1e-9);
  }
  assert.equal(showTick(1e15), "1e+15");
  assert.equal(showTick(25_000), "25k");
});
