import assert from "node:assert/strict";
import type { Phrase } from "../../objectives/objective.ts";
import { fitLine } from "../../tasks/progress.ts";

const parts: readonly Phrase[] = [["step 700/700", 7], ["epoch 10/10", 1], ["loss 0.28", 5], [
  "0:01 left",
  6,
]];

Deno.test("a progress line that is too long drops the least important parts first, and keeps the time left", () => {
  assert.equal(fitLine(parts, Infinity), "step 700/700  epoch 10/10  loss 0.28  0:01 left");
  assert.equal(fitLine(parts, 40), "step 700/700  loss 0.28  0:01 left");
  assert.equal(fitLine(parts, 25), "step 700/700  0:01 left");
  assert.equal(fitLine(parts, 1), "step 700/700", "at least the step");
});
