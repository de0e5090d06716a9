/** Misspelt names find the one that was meant. */
import assert from "node:assert/strict";
import { nearestName, suggestName } from "../../settings/nearest_name.ts";

const KNOWN = ["quantizer.codebookSize", "quantizer.codebookDim", "optimizer.learningRate", "seed"];

Deno.test("a name with one or two typos is found", () => {
  assert.equal(nearestName("quantizer.codebokSize", KNOWN), "quantizer.codebookSize");
  assert.equal(nearestName("quantiser.codebookDim", KNOWN), "quantizer.codebookDim");
  assert.equal(nearestName("sed", KNOWN), "seed");
  assert.equal(nearestName("seeed", KNOWN), "seed");
  assert.equal(nearestName("sede", KNOWN), undefined, "two of four letters are too many");
});

Deno.test("a name is found by its last part, ignoring case", () => {
  assert.equal(nearestName("learningRate", KNOWN), "optimizer.learningRate");
  assert.equal(nearestName("LEARNINGRATE", KNOWN), "optimizer.learningRate");
  assert.equal(nearestName("codebookSizes", KNOWN), "quantizer.codebookSize");
});

Deno.test("the nearest of several names wins, the first among equals", () => {
  assert.equal(nearestName("cat", ["cart", "cat", "cut"]), "cat");
  assert.equal(nearestName("cot", ["cat", "cut"]), "cat");
});

Deno.test("a name that resembles none gives no suggestion", () => {
  assert.equal(nearestName("momentum", KNOWN), undefined);
  assert.equal(nearestName("seed", []), undefined);
  assert.equal(nearestName("x".repeat(1_000_000), KNOWN), undefined);
});

Deno.test("a suggestion gives the nearest name, or lists all known names", () => {
  assert.equal(suggestName("sed", KNOWN), "did you mean seed?");
  assert.equal(suggestName("momentum", ["seed", "out"]), "the choices are seed, out");
});
