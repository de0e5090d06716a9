/** What the compiler knows of quantisers that are made by name: a line that should not compile is one that `deno check`
 * would miss if it did. */
import assert from "node:assert/strict";
import { openDevice } from "../../core/device.ts";
import { randomKey } from "../../core/random.ts";
import { createQuantizer, type QuantizerConfig } from "../../quantizers/registry.ts";

const key = randomKey(1, "types");
using device = await openDevice("reference");

Deno.test("an unknown method, or a setting of another method, does not compile", () => {
  const refused = [
    // @ts-expect-error There is no such method.
    () => createQuantizer(device, { type: "clusterd" }, key),
    // @ts-expect-error Its codes are a grid.
    () => createQuantizer(device, { type: "fsq", codebookSize: 64 }, key),
    // @ts-expect-error A number.
    () => createQuantizer(device, { type: "vanilla", codebookSize: "64" }, key),
    // @ts-expect-error Not one of the choices.
    () => createQuantizer(device, { type: "clustered", anchor: "nearest" }, key),
    // @ts-expect-error No such setting.
    () => createQuantizer(device, { type: "ema", codebookSiz: 64 }, key),
    // @ts-expect-error The inner quantiser is no grid either.
    () => createQuantizer(device, { type: "residual", inner: { type: "ema", levels: [3] } }, key),
    // @ts-expect-error Only the outermost one normalises.
    () => createQuantizer(device, { type: "product", inner: { normalization: "batch" } }, key),
  ];
  for (const make of refused) assert.throws(make, { name: "RangeError" });
});

Deno.test("the settings of every method compile, and so does a loaded configuration", () => {
  const sizes = { codebookSize: 4, codebookDim: 2 } as const;
  const type: "vanilla" | "ema" = "ema";
  const read: QuantizerConfig = { type: "lfq", bits: 2 };
  const made = [
    createQuantizer(device, { type: "clustered", ...sizes, anchor: "distinct", lookupDim: 1 }, key),
    createQuantizer(device, { type: "fsq", levels: [2, 2], normalization: "batch" }, key),
    createQuantizer(device, { type, ...sizes, warmupSteps: 3 }, key),
    createQuantizer(device, { type: "residual", depth: 2, inner: sizes }, key),
    createQuantizer(device, {
      type: "product",
      heads: 2,
      shared: true,
      inner: { type: "residual", inner: { type: "vanilla", ...sizes } },
    }, key),
    createQuantizer(device, read, key),
  ];
  assert.deepEqual(made.map(({ codebookSize }) => codebookSize), [4, 4, 4, 4, 4, 4]);
});
