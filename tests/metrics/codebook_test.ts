/** Usage and perplexity from counts. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { codebookUse } from "../../metrics/codebook.ts";

const near = (got: number, expected: number) =>
  assert.ok(Math.abs(got - expected) <= 1e-6 * expected, `${got} instead of ${expected}`);

Deno.test("codes chosen equally often have a perplexity of their number", () => {
  for (const used of [1, 2, 7, 512]) {
    const counts = new Int32Array(512).fill(31, 0, used);
    const { usage, perplexity } = codebookUse(counts);
    assert.equal(usage, used / 512);
    near(perplexity, used);
  }
});

Deno.test("perplexity is exp of the entropy of the shares", () => {
  const { usage, perplexity } = codebookUse([1, 0, 3]);
  assert.equal(usage, 2 / 3);
  near(perplexity, Math.exp(-0.25 * Math.log(0.25) - 0.75 * Math.log(0.75)));
});

Deno.test("usage and perplexity keep their ranges, in any order and unit", () => {
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

Deno.test("counts of nothing are refused", () => {
  assert.throws(() => codebookUse(new Int32Array(4)), {
    name: "RangeError",
    message: "Cannot measure a codebook's use: some code must have been chosen, got 4 counts of 0",
  });
  assert.throws(() => codebookUse([]), RangeError);
});
