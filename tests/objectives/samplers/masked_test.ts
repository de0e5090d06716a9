/** Codes drawn in passes: how many stay in each, which, and what decides. */
import assert from "node:assert/strict";
import { openDevice } from "../../../core/device.ts";
import { randomKey } from "../../../core/random.ts";
import { drawMask } from "../../../objectives/masks.ts";
import {
  drawInPasses,
  hiddenShare,
  type MaskedOptions,
} from "../../../objectives/samplers/masked.ts";
import { haltonRanks } from "../../../objectives/samplers/halton_ranks.ts";
import { draw } from "../../each_device.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

const key = randomKey(4, "passes");
const LENGTH = 12, SIZE = 5;
const OPTIONS: MaskedOptions = {
  ...{ count: 3, grid: [3, 4], first: 0, key },
  ...{ temperature: 1, topK: null, topP: null, steps: 4 },
  ...{ order: "confidence", choiceTemperature: 4.5 },
};

/** Logits by place, the same for every image and whatever is hidden; says what it is asked about. */
function fakeModel(asked: Int32Array[] = []) {
  const own = draw([LENGTH, SIZE], "logits", -2, 2);
  return (codes: Int32Array<ArrayBuffer>) => {
    asked.push(codes.slice());
    const count = codes.length / LENGTH;
    const all = new Float32Array(count * own.length);
    for (let image = 0; image < count; image++) all.set(own, image * own.length);
    return device.tensor(all, [count, LENGTH, SIZE]);
  };
}

const hiddenIn = (codes: Int32Array) => codes.filter((code) => code === -1).length;

Deno.test("the schedule starts with all codes masked and ends with none", () => {
  assert.equal(hiddenShare(0), 1);
  assert.equal(hiddenShare(1), 0);
  assert.ok(Math.abs(hiddenShare(2 / 3) - 0.5) < 1e-12);
});

Deno.test("each pass leaves as many codes masked as the schedule says", async () => {
  for (const steps of [1, 2, 4, 7, 12, 40]) {
    const asked: Int32Array[] = [];
    const codes = await drawInPasses(fakeModel(asked), { ...OPTIONS, count: 1, steps });
    assert.ok(codes.every((code) => code >= 0 && code < SIZE));
    let before = LENGTH;
    const expected = [LENGTH];
    for (let step = 1; step < steps && before > 1; step++) {
      before = Math.min(before - 1, Math.floor(LENGTH * hiddenShare(step / steps)));
      if (before > 0) expected.push(before);
    }
    assert.deepEqual(asked.map(hiddenIn), expected, `${steps} passes`);
  }
});

Deno.test("an accepted code is never masked or changed again", async () => {
  const asked: Int32Array[] = [];
  asked.push(await drawInPasses(fakeModel(asked), { ...OPTIONS, steps: 6 }));
  for (const [pass, codes] of asked.slice(1).entries()) {
    asked[pass].forEach((before, at) => assert.ok(before === -1 || codes[at] === before));
  }
});

Deno.test("without noise the most confident codes are accepted first", async () => {
  const asked: Int32Array[] = [];
  const options = { ...OPTIONS, count: 1, temperature: 0, choiceTemperature: 0, steps: 4 };
  await drawInPasses(fakeModel(asked), options);
  const logits = draw([LENGTH, SIZE], "logits", -2, 2);
  const confidences = Array.from({ length: LENGTH }, (_, place) => {
    const own = logits.subarray(place * SIZE, (place + 1) * SIZE);
    const total = own.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return Math.max(...own) - Math.log(total);
  });
  const order = [...confidences.keys()].sort((a, b) => confidences[b] - confidences[a]);
  for (const codes of asked) {
    const known = order.slice(0, LENGTH - hiddenIn(codes));
    assert.ok(known.every((place) => codes[place] >= 0));
  }
});

Deno.test("in Halton's order the places decide, and known codes take none", async () => {
  const ranks = haltonRanks(3, 4);
  assert.deepEqual([...ranks].sort((a, b) => a - b), [...ranks.keys()]);
  const order = [...ranks.keys()].sort((a, b) => ranks[a] - ranks[b]);
  // Of the points (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), (1/8, 4/9): row 1, column 1, and so on.
  assert.deepEqual(order.slice(0, 4), [1 * 4 + 1, 0 * 4 + 2, 2 * 4 + 0, 0 * 4 + 1]);
  const asked: Int32Array[] = [];
  const given = new Int32Array(LENGTH).fill(-1).with(order[0], 3);
  const options = { ...OPTIONS, count: 1, order: "halton" as const, given };
  await drawInPasses(fakeModel(asked), options);
  for (const codes of asked) {
    const known = order.slice(0, LENGTH - hiddenIn(codes));
    assert.ok(known.every((place) => codes[place] >= 0));
  }
  assert.deepEqual(asked[0], given);
});

Deno.test("codes depend only on the key and the image's number, not on the batch", async () => {
  const all = await drawInPasses(fakeModel(), OPTIONS);
  for (const [first, count] of [[0, 1], [1, 2], [2, 1]]) {
    const some = await drawInPasses(fakeModel(), { ...OPTIONS, first, count });
    assert.deepEqual(some, all.slice(first * LENGTH, (first + count) * LENGTH));
  }
  const other = await drawInPasses(fakeModel(), { ...OPTIONS, key: randomKey(5, "passes") });
  assert.notDeepEqual(other, all);
});

Deno.test("known codes stay, and if all are known the model is not called", async () => {
  const given = Int32Array.from({ length: 3 * LENGTH }, (_, at) => at % 3 === 0 ? at % SIZE : -1);
  given.fill(2, LENGTH, 2 * LENGTH); // All of the second image.
  const asked: Int32Array[] = [];
  const codes = await drawInPasses(fakeModel(asked), { ...OPTIONS, given });
  codes.forEach((code, at) => assert.ok(given[at] === -1 ? code >= 0 : code === given[at]));
  assert.deepEqual(asked[0], given);
  const none: Int32Array[] = [];
  const known = given.map((code) => Math.max(code, 0));
  assert.deepEqual(await drawInPasses(fakeModel(none), { ...OPTIONS, given: known }), known);
  assert.equal(none.length, 0);
});

Deno.test("masks hide the share given by the cosine schedule, at least one code", () => {
  const length = 16, images = 4000, counts = new Float64Array(length);
  let hidden = 0;
  for (let image = 0; image < images; image++) {
    const mask = drawMask(key, image, length);
    const own = mask.reduce((a, b) => a + b);
    assert.ok(own >= 1 && own <= length);
    hidden += own;
    mask.forEach((one, place) => counts[place] += one);
  }
  // The mean of ⌈16·cos(πr/2)⌉: 16·2/π, and half a code more for rounding up.
  const expected = images * (length * 2 / Math.PI + 0.5);
  assert.ok(Math.abs(hidden - expected) < 0.02 * expected, `${hidden} and ${expected}`);
  for (const count of counts) assert.ok(Math.abs(count - hidden / length) < 0.05 * hidden / length);
  assert.deepEqual(drawMask(key, 7, length), drawMask({ ...key }, 7, length));
  assert.notDeepEqual(drawMask(key, 7, length), drawMask(key, 8, length));
  assert.deepEqual([...drawMask(key, 0, 1)], [1]);
});
