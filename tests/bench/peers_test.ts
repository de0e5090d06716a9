/** What the comparison beside other libraries makes of its samples. */
import assert from "node:assert/strict";
import { findingOf, type Measure, measuresOf } from "../../bench/peers/measures.ts";
import type { Sample } from "../../bench/peers/side.ts";
import { insertResults, ratioTable } from "../../bench/peers/tables.ts";

const MEASURE: Measure = {
  about: "matrix product",
  work: "matmul",
  ours: "us",
  peer: "them",
  of: "speed",
  bound: 3,
};

function samplesOf(ours: readonly (number | null)[], theirs: readonly (number | null)[]) {
  const sample = (ms: number | null): Sample => ({ work: "matmul", ms, peakMiB: ms ?? 1 });
  return new Map([["matmul", new Map([["us", ours.map(sample)], ["them", theirs.map(sample)]])]]);
}

Deno.test("a speed ratio is the peer's median time divided by ours", () => {
  const finding = findingOf(MEASURE, samplesOf([10, 30, 20], [50, 90, 60]));
  assert.deepEqual(finding?.ratio, { median: 3, least: 5 });
  assert.equal(finding?.reached, true);
});

Deno.test("a memory ratio is ours divided by the peer's, and must stay under its bound", () => {
  const finding = findingOf({ ...MEASURE, of: "memory", bound: 1 }, samplesOf([30], [20]));
  assert.equal(finding?.ratio?.median, 1.5);
  assert.equal(finding?.reached, false);
});

Deno.test("a peer without a kernel gets a row without a ratio", () => {
  const finding = findingOf(MEASURE, samplesOf([10], [null]));
  assert.match(ratioTable([finding!], undefined), /them: no kernel \| – \| 3 \| –/);
});

Deno.test("a work that was not measured has no row", () => {
  const measures = measuresOf([{ name: "PyTorch", python: "python3", env: {} }]);
  assert.ok(measures.length > 10);
  assert.deepEqual(measures.flatMap((measure) => findingOf(measure, new Map()) ?? []), []);
});

Deno.test("the results replace only the text between the two comments", () => {
  const [begin, end] = ["<!-- bench:peers begins -->", "<!-- bench:peers ends -->"];
  const document = `before\n${begin}\nold\n${end}\nafter`;
  assert.equal(insertResults(document, "new"), `before\n${begin}\n\nnew\n\n${end}\nafter`);
  assert.throws(() => insertResults(`${end}${begin}`, "new"), /bench\/RESULTS\.md must hold/);
});
