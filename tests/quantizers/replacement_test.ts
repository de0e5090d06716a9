/** Dead codes and what replaces them: the pieces, and the methods made of them. */
import assert from "node:assert/strict";
import { assign } from "../../core/execute.ts";
import { randomKey } from "../../core/random.ts";
import { HardFeaturesQuantizer } from "../../quantizers/hard_features.ts";
import { NearCodesQuantizer } from "../../quantizers/near_codes.ts";
import { DeadCodes, randomRows } from "../../quantizers/replacement.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";

const devices = await openTestDevices();

const keyOf = (step: number) => randomKey(4, "replacement", step);
const contextOf = (step: number) => ({ training: true, key: keyOf(step) });

testOnEach(
  devices,
  "codes are dead by their running counts, which restart after replacement",
  async (device) => {
    const [replaceBelow, countDecay] = [2, 0.75];
    const dead = new DeadCodes(device, 4, { replaceBelow, countDecay });
    let running = [2, 2, 2, 2];
    for (const usage of [[9, 2, 1, 0], [0, 3, 5, 2], [0, 0, 2, 9], [0, 9, 0, 9], [0, 0, 0, 0]]) {
      const found = await dead.find(device.tensor(Int32Array.from(usage), [4])).integers();
      running = running.map((count, k) => countDecay * count + (1 - countDecay) * usage[k]);
      assert.deepEqual([...found], running.map((count) => count < replaceBelow ? 1 : 0));
      running = running.map((count) => count < replaceBelow ? replaceBelow : count);
      assertClose(await dead.runningCount.floats(), running, EQUATIONS, "N");
    }
  },
);

testOnEach(devices, "rows are drawn without repetition while there are enough", async (device) => {
  const values = Float32Array.from({ length: 8 }, (_, n) => n);
  const rows = device.tensor(values, [8, 1]);
  const counts = new Int32Array(8);
  for (let step = 0; step < 200; step++) {
    const drawn = await randomRows(rows, 3, keyOf(step)).floats();
    assert.equal(new Set(drawn).size, 3);
    for (const n of drawn) counts[n]++;
  }
  const chiSquare = counts.reduce((sum, count) => sum + (count - 75) ** 2 / 75, 0);
  assert.ok(chiSquare < 25, `chi-square of 7 degrees ${chiSquare}`);
  const many = [...await randomRows(rows, 20, keyOf(0)).floats()];
  for (let n = 0; n < 8; n++) {
    const times = many.filter((m) => m === n).length;
    assert.ok(times === 2 || times === 3, `${times} of 20 / 8`);
  }
});

testOnEach(
  devices,
  "masked rows are not drawn, and the others are equally likely",
  async (device) => {
    const rows = device.tensor(Float32Array.of(0, 1, NaN, 3, 4, NaN), [6, 1]);
    const mask = device.tensor(Int32Array.of(1, 1, 0, 1, 1, 0), [6]);
    const drawn = [...await randomRows(rows, 2000, keyOf(1), mask).floats()];
    const counts = [0, 1, 3, 4].map((n) => drawn.filter((m) => m === n).length);
    assert.equal(counts.reduce((sum, count) => sum + count), 2000);
    const chiSquare = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
    assert.ok(chiSquare < 20, `chi-square of 3 degrees ${chiSquare}`);
  },
);

testOnEach(
  devices,
  "hard features: a dead code becomes a feature, and others stay",
  async (device) => {
    const options = { codebookSize: 5, codebookDim: 2, key: keyOf(0) };
    const quantizer = new HardFeaturesQuantizer(device, options);
    const codes = [0, 0, 9, 9, 9, 8, 0.5, 0.5, 8, 9];
    assign(quantizer.codebook, device.tensor(codes, [5, 2]));
    const z = draw([12, 2], "features", 0, 0.6), features = device.tensor(z, [12, 2]);
    const result = quantizer.quantize(features, contextOf(0));
    assert.deepEqual(Object.keys(result.losses), ["commitment", "codebook"]);
    const moves = quantizer.update({ features, ...result }, contextOf(0));
    assert.equal(moves.length, 1);
    assert.deepEqual([[...await moves[0].share.floats()], moves[0].forgets], [
      [0, 1, 1, 0, 1],
      true,
    ]);
    const after = rowsOf(await quantizer.codebook.floats(), 2);
    assert.deepEqual([after[0], after[3]], [[0, 0], [0.5, 0.5]]);
    const put = [1, 2, 4].map((k) =>
      rowsOf(z, 2).findIndex((row) => String(row) === String(after[k]))
    );
    assert.ok(put.every((n) => n >= 0) && new Set(put).size === 3, `features ${put}`);
  },
);

testOnEach(
  devices,
  "near codes: rarely used codes move next to the most used one",
  async (device) => {
    const options = { codebookSize: 4, codebookDim: 2, resetEverySteps: 3, key: keyOf(0) };
    const quantizer = new NearCodesQuantizer(device, {
      ...options,
      resetBelow: 0.3,
      deviation: 0.02,
    });
    const codes = [1, 1, 2, 2, 3, 3, 4, 4];
    assign(quantizer.codebook, device.tensor(codes, [4, 2]));
    const features = device.tensor(draw([10, 2], "features"), [10, 2]);
    const update = (step: number, usage: readonly number[]) =>
      quantizer.update({
        features,
        indices: device.tensor(new Int32Array(10), [10]),
        usage: device.tensor(Int32Array.from(usage), [4]),
      }, contextOf(step));
    assert.deepEqual([update(0, [1, 0, 5, 4]), update(1, [0, 2, 8, 0])], [[], []]);
    assert.deepEqual([...await quantizer.codebook.floats()], codes, "not yet");
    const [{ share }] = update(2, [0, 4, 7, 1]); // in all 1, 6, 20 and 5; 0.3 of 20 is 6
    assert.deepEqual([...await share.floats()], [1, 0, 0, 1]);
    const after = rowsOf(await quantizer.codebook.floats(), 2);
    assert.deepEqual([after[1], after[2]], [[2, 2], [3, 3]]);
    for (const code of [after[0], after[3]]) {
      assert.ok(code.every((x) => x !== 3 && Math.abs(x - 3) < 0.02 * 5), `${code} is near 3, 3`);
    }
    assert.notDeepEqual(after[0], after[3]);
    assert.deepEqual([...await quantizer.recentUsage.floats()], [0, 0, 0, 0]);
    assert.equal(quantizer.steps.value, 0);
    assert.deepEqual(update(3, [1, 0, 0, 0]), []);
  },
);

testOnEach(
  devices,
  "near codes: by default every 20 steps, 3 %, a deviation of 0.01",
  async (device) => {
    const [K, D] = [200, 8];
    const quantizer = new NearCodesQuantizer(device, {
      codebookSize: K,
      codebookDim: D,
      key: keyOf(0),
    });
    const usage = Int32Array.from(
      { length: K },
      (_, k) => k === 7 ? 100 : k === 8 ? 3 : k === 9 ? 2 : 0,
    );
    const before = rowsOf(await quantizer.codebook.floats(), D);
    const features = device.tensor(new Float32Array(D), [1, D]);
    for (let step = 0; step < 20; step++) {
      const indices = device.tensor(Int32Array.of(0), [1]);
      const assignment = { features, indices, usage: device.tensor(usage, [K]) };
      assert.equal(quantizer.update(assignment, contextOf(step)).length, step === 19 ? 1 : 0);
    }
    const after = rowsOf(await quantizer.codebook.floats(), D);
    assert.deepEqual([after[7], after[8]], [before[7], before[8]]);
    const noise = after.flatMap((code, k) =>
      k === 7 || k === 8 ? [] : code.map((x, d) => x - before[7][d])
    );
    const deviation = Math.sqrt(noise.reduce((sum, x) => sum + x * x, 0) / noise.length);
    assert.ok(Math.abs(deviation / 0.01 - 1) < 0.05, `deviation ${deviation}`);
  },
);
