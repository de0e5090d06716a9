import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { ClusteredQuantizer } from "../../quantizers/clustered.ts";
import { createQuantizer, QUANTIZER_TYPES } from "../../quantizers/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";

const key = randomKey(1, "registry");
const device = await openDevice("reference");

Deno.test("every method can be created by name, with the given settings", () => {
  const sizes = { codebookSize: 8, codebookDim: 4 };
  const special: Readonly<Record<string, [object, codebookSize: number, codebookDim: number]>> = {
    fsq: [{ levels: [3, 5] }, 15, 2],
    lfq: [{ bits: 3 }, 8, 3],
    residual: [{ depth: 2, shared: false, inner: { type: "vanilla", ...sizes } }, 16, 4],
    "multi-scale": [{ scales: [1, 3], inner: { type: "vanilla", ...sizes } }, 8, 4],
    product: [{ heads: 3, inner: { type: "residual", inner: sizes } }, 24, 12],
  };
  for (const type of QUANTIZER_TYPES) {
    const [settings, codebookSize, codebookDim] = special[type] ?? [sizes, 8, 4];
    const made = createQuantizer(device, { type, ...settings }, key);
    assert.deepEqual([made.codebookSize, made.codebookDim], [codebookSize, codebookDim], type);
  }
  assert.ok(createQuantizer(device, { type: "vanilla" }, key) instanceof VanillaQuantizer);
  assert.ok(createQuantizer(device, { type: "clustered" }, key) instanceof ClusteredQuantizer);
});

Deno.test("an unknown method is rejected with the nearest known name", () => {
  const type: string = "clusterd";
  assert.throws(() => createQuantizer(device, { type }, key), {
    name: "RangeError",
    message: /got "clusterd", did you mean clustered\?/,
  });
});

Deno.test("a setting that a method does not have or allow is rejected", () => {
  const make = (settings: object) => () =>
    createQuantizer(device, { type: "vanilla", ...settings }, key);
  assert.throws(make({ codebookSiz: 4 }), {
    name: "RangeError",
    message: "Cannot make a quantizer: there is no setting codebookSiz, did you mean codebookSize?",
  });
  assert.throws(make({ codebookSize: 0 }), {
    name: "RangeError",
    message: "Cannot make a quantizer: codebookSize must be an integer of at least 1, got 0",
  });
});

Deno.test("inner quantisers get unnormalised features", () => {
  const residual = (inner: object) =>
    createQuantizer(device, { type: "residual", depth: 2, inner }, randomKey(1, "inner"));
  const quantizer = residual({ codebookSize: 4, codebookDim: 2 });
  const names = [...quantizer.namedBuffers().keys()];
  assert.ok(names.length > 0 && !names.some((name) => /normalization/.test(name)), `${names}`);
  const refused = { name: "RangeError", message: /no setting normalization/ };
  assert.throws(() => residual({ type: "ema", normalization: "batch" }), refused);
});
