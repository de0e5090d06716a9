import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import {
  type CodebookHealth,
  CodebookWatch,
  collapseWarning,
} from "../../objectives/codebook_watch.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();

testOnEach(devices, "a codebook is monitored over the epochs", async (device) => {
  const watch = new CodebookWatch(device, 4, 3);
  const options = { codebookSize: 4, codebookDim: 2, key: randomKey(1, "watch") };
  const quantizer = new VanillaQuantizer(device, options);
  quantizer.codebook.write(Float32Array.of(3, 4, 0, 1, 0, 0, 6, 8));
  const step = (...usage: number[]) => watch.add(device.tensor(Int32Array.from(usage), [4]));

  step(2, 2, 0, 0);
  const { perplexity, ...health } = await watch.read(quantizer);
  assert.ok(Math.abs(perplexity - 2) < 1e-6);
  const first = { codesInUse: 2, deadCodes: 0, deadSteps: null, codeLength: 4, collapsed: false };
  assert.deepEqual(health, first);

  step(4, 0, 0, 0);
  step(4, 0, 1, 0);
  const { deadCodes, deadSteps, codesInUse } = await watch.read(quantizer);
  assert.deepEqual([codesInUse, deadCodes, deadSteps], [3, 1, 3], "code 3 never was chosen");

  watch.nextEpoch();
  step(40, 0, 0, 0);
  step(40, 0, 0, 0);
  const third = await watch.read(quantizer);
  assert.deepEqual([third.codesInUse, third.deadCodes, third.deadSteps], [1, 2, 4.5]);
  assert.equal(third.collapsed, false, "a quarter of the codes");

  const { values } = (await watch.stateDictionary()).get("ages")!;
  assert.deepEqual([...values], [0, 4, 2, 5]);
});

testOnEach(devices, "few features are not a collapse, but few codes are", async (device) => {
  const quantizer = new VanillaQuantizer(device, { codebookSize: 100, key: randomKey(1, "watch") });
  const collapsed = async (count: (code: number) => number) => {
    const watch = new CodebookWatch(device, 100, 3);
    watch.add(device.tensor(Int32Array.from({ length: 100 }, (_, code) => count(code)), [100]));
    return (await watch.read(quantizer)).collapsed;
  };
  assert.equal(await collapsed((code) => code < 4 ? 1 : 0), false, "4 features, 4 codes");
  assert.equal(await collapsed((code) => code < 24 ? 9 : 0), true, "24 of 100");
  assert.equal(await collapsed((code) => code < 25 ? 9 : 0), false, "25 of 100");
  assert.equal(await collapsed((code) => code === 0 ? 9999 : 1), true, "all, but one for most");
});

Deno.test("the warning names the remedies that the quantiser has but does not use", () => {
  const health: CodebookHealth = {
    codesInUse: 9,
    perplexity: 3.21,
    deadCodes: 88,
    deadSteps: 70,
    codeLength: 1,
    collapsed: true,
  };
  const vanilla = { type: "vanilla", replaceBelow: 0, initialization: "kmeans", lookupDim: null };
  assert.equal(
    collapseWarning(health, 100, vanilla),
    "the codebook has collapsed: 9 of 100 codes were chosen in this epoch, with a perplexity of 3.2, " +
      "and 88 are dead; things to try: another method (--quantizer.type clustered-ema), replacement of dead codes by features " +
      "(--quantizer.replaceBelow 1), a lookup in fewer dimensions (--quantizer.lookupDim 8), fewer codes",
  );
  assert.match(
    collapseWarning(health, 100, { type: "clustered-ema" }),
    /things to try: fewer codes$/,
  );
});
