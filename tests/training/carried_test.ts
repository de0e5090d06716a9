import assert from "node:assert/strict";
import { DivergedError, epochMeans, freshCarried } from "../../training/carried.ts";

const SUMS = { loss: 2, mse: 1, quantizerLoss: 8, featureLength: 4, moved: 0.5 };

Deno.test("the means of an epoch are its sums over its steps", () => {
  const carried = { ...freshCarried(), steps: 4, sums: SUMS };
  const means = { loss: 0.5, mse: 0.25, quantizerLoss: 2, featureLength: 1, moved: 0.125 };
  assert.deepEqual(epochMeans(carried), means);
});

Deno.test("bookkeeping starts at nothing, each with sums of its own", () => {
  const one = freshCarried();
  one.sums.loss = 5;
  assert.deepEqual(freshCarried(), {
    steps: 0,
    sums: { loss: 0, mse: 0, quantizerLoss: 0, featureLength: 0, moved: 0 },
    best: null,
  });
});

Deno.test("a run that diverged says at which step, what broke, and what is left", () => {
  const { name, message } = new DivergedError(70, "mse", NaN, "runs/x/last.safetensors");
  assert.equal(name, "DivergedError");
  assert.match(message, /got mse NaN at step 70; the last good checkpoint is runs\/x\/last/);
});
