/** What the compiler knows of configurations: a line that should not compile is one that `deno check` would miss if it did. */
import assert from "node:assert/strict";
import { openDataset } from "../../data/registry.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { randomKey } from "../../core/random.ts";
import { openDevice } from "../../core/device.ts";
import { resolveConfig } from "../../training/resolve.ts";

Deno.test("an unknown name, a setting of another method, and a value of the wrong type do not compile", () => {
  const refused = [
    // @ts-expect-error There is no such method.
    () => resolveConfig({ flags: { quantizer: { type: "clusterd" } } }),
    // @ts-expect-error Its codes are a grid.
    () => resolveConfig({ flags: { quantizer: { type: "fsq", codebookSize: 64 } } }),
    // @ts-expect-error A number.
    () => resolveConfig({ flags: { quantizer: { codebookSize: "64" } } }),
    // @ts-expect-error No such setting of any method.
    () => resolveConfig({ flags: { quantizer: { codebookSiz: 64 } } }),
    // @ts-expect-error A number.
    () => resolveConfig({ flags: { training: { epochs: "2" } } }),
    // @ts-expect-error No such setting.
    () => resolveConfig({ flags: { training: { epoch: 2 } } }),
    // @ts-expect-error No such section.
    () => resolveConfig({ flags: { trainin: {} } }),
    // @ts-expect-error No such device.
    () => resolveConfig({ flags: { device: "gpu" } }),
  ];
  for (const make of refused) assert.throws(make, { name: "RangeError" });
});

Deno.test("settings of the named method compile, and of any method if none is named", () => {
  const flags = {
    quantizer: { type: "fsq", levels: [4, 4] },
    training: { maxSteps: null },
  } as const;
  assert.deepEqual(resolveConfig({ flags }).quantizer?.levels, [4, 4]);
  const file = { quantizer: { type: "ema" } };
  assert.equal(resolveConfig({ file, flags: { quantizer: { decay: 0.9 } } }).quantizer?.decay, 0.9);
});

Deno.test("an argument in the wrong position is rejected with a message", async () => {
  const config = resolveConfig();
  // @ts-expect-error The sources are saved, file and flags.
  assert.throws(() => resolveConfig({ seed: 3 }), {
    name: "TypeError",
    message: "Cannot read the configuration: its sources must be saved, file, flags, got seed; " +
      "the settings of a program are flags: { flags: { … } }",
  });
  // @ts-expect-error The data set is config.data.
  await assert.rejects(openDataset(config), {
    name: "TypeError",
    message:
      "Cannot open a data set: the configuration must be a name, or an object with one such as " +
      "config.data, got one of preset, seed, device, precision, out",
  });
  // @ts-expect-error It must be given.
  await assert.rejects(openDataset(), { name: "TypeError", message: /^Cannot open a data set: / });
  using device = await openDevice("reference");
  const key = randomKey(1, "types");
  // @ts-expect-error The quantiser is config.quantizer.
  assert.throws(() => createQuantizer(device, config, key), {
    name: "TypeError",
    message: /^Cannot make a quantizer: the configuration must be an object with a type, such as /,
  });
});
