/** Usage and perplexity from counts. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { codebookReport, codebookUse } from "../../metrics/codebook.ts";

const near = (got: number, expected: number) =>
  assert.ok(Math.abs(got - expected) <= 1e-6 * expected, `${got} instead of ${expected}`);

Deno.test("the perplexity of equally used codes is their number", () => {
  for (const used of [1, 2, 7, 512]) {
    const counts = new Int32Array(512).fill(31, 0, used);
    const { usage, perplexity } = codebookUse(counts);
    assert.equal(usage, used / 512);
    near(perplexity, used);
  }
});

Deno.test("perplexity is exp of the entropy of the code frequencies", () => {
  const { usage, perplexity } = codebookUse([1, 0, 3]);
  assert.equal(usage, 2 / 3);
  near(perplexity, Math.exp(-0.25 * Math.log(0.25) - 0.75 * Math.log(0.75)));
});

Deno.test("usage and perplexity stay in range and do not depend on the order or scale of the counts", () => {
  const counts = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 })
    .filter((values) => values.some((count) => count > 0));
  const property = fc.property(counts, (values) => {
    const { usage, perplexity } = codebookUse(values);
    const used = values.filter((count) => count > 0).length;
    assert.equal(usage, used / values.length);
    assert.ok(perplexity >= 1 - 1e-6 && perplexity <= used * (1 + 1e-6), `${perplexity}`);
    near(codebookUse(values.toReversed()).perplexity, perplexity);
    near(codebookUse(values.map((count) => count * 3)).perplexity, perplexity);
  });
  fc.assert(property, { seed: 7 });
});

Deno.test("counts that are all zero are rejected", () => {
  assert.throws(() => codebookUse(new Int32Array(4)), {
    name: "RangeError",
    message: "Cannot measure a codebook's use: some code must have been chosen, got 4 counts of 0",
  });
  assert.throws(() => codebookUse([]), RangeError);
});

Deno.test("a report matches the counts and the vectors", () => {
  const counts = Int32Array.of(0, 6, 0, 2), vectors = Float32Array.of(1, 0, 3, 4, 0, 2, 0, 0);
  const { entropyBits, ...report } = codebookReport(counts, { vectors, ages: [70, 0, 30, 2] });
  assert.ok(Math.abs(entropyBits - (0.75 * Math.log2(4 / 3) + 0.5)) < 1e-12, `${entropyBits}`);
  assert.deepEqual(report, {
    codes: 4,
    ...codebookUse(counts),
    dead: [0, 2],
    histogram: [6, 2, 0, 0],
    norms: { used: { least: 0, mean: 2.5, most: 5 }, dead: { least: 1, mean: 1.5, most: 2 } },
    deadSteps: { least: 30, mean: 50, most: 70 },
  });
  const whole = codebookReport(Int32Array.of(1, 1));
  assert.equal(whole.entropyBits, 1);
  assert.deepEqual([whole.norms, whole.deadSteps], [{ used: null, dead: null }, null]);
  assert.throws(() => codebookReport(counts, { vectors: new Float32Array(7) }), {
    name: "TypeError",
    message: "Cannot report on a codebook: its vectors must be those of 4 codes, got 7 values",
  });
});
