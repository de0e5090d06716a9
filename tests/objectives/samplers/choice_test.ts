/** Codes drawn from logits: their frequencies, what is never drawn, and what decides a draw. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { randomKey } from "../../../core/random.ts";
import {
  checkChoice,
  type ChoiceSettings,
  chooseCode,
  drawOf,
} from "../../../objectives/samplers/choice.ts";

const key = randomKey(1, "choice");
const ALL: ChoiceSettings = { temperature: 1, topK: null, topP: null };

const someLogits = fc.array(fc.integer({ min: -8192, max: 8192 }), { minLength: 1, maxLength: 24 })
  .map((values) => Float32Array.from(values, (value) => value / 1024));
const someChance = fc.integer({ min: 0, max: 2 ** 30 - 1 }).map((value) => value / 2 ** 30);
const someTemperature = fc.constantFrom(0.3, 0.7, 1, 1.5, 4);

/** The probabilities of the codes at a temperature. */
function probabilitiesOf(logits: Float32Array, temperature = 1): number[] {
  const powers = Array.from(logits, (logit) => Math.exp(logit / temperature));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

/** The codes from the likeliest to the least likely, equal ones by index. */
const ranked = (logits: Float32Array): number[] =>
  Array.from(logits, (_, code) => code).sort((a, b) => logits[b] - logits[a] || a - b);

Deno.test("a code is drawn if the uniform number falls into its share", () => {
  fc.assert(fc.property(someLogits, someChance, someTemperature, (logits, chance, temperature) => {
    const { code } = chooseCode(logits, { ...ALL, temperature }, chance);
    const probabilities = probabilitiesOf(logits, temperature);
    const below = probabilities.slice(0, code).reduce((a, b) => a + b, 0);
    assert.ok(below <= chance + 1e-9 && chance <= below + probabilities[code] + 1e-9);
  }));
});

Deno.test("top-k draws from the k likeliest codes with renormalised probabilities", () => {
  fc.assert(fc.property(someLogits, someChance, fc.nat(), (logits, chance, seed) => {
    const topK = 1 + seed % logits.length;
    const { code } = chooseCode(logits, { ...ALL, topK }, chance);
    const kept = ranked(logits).slice(0, topK).sort((a, b) => a - b);
    assert.ok(kept.includes(code), `${code} is among ${kept}`);
    const probabilities = probabilitiesOf(Float32Array.from(kept, (code) => logits[code]));
    const at = kept.indexOf(code);
    const below = probabilities.slice(0, at).reduce((a, b) => a + b, 0);
    assert.ok(below <= chance + 1e-9 && chance <= below + probabilities[at] + 1e-9);
  }));
});

Deno.test("top-p draws from the smallest set of codes that reaches the probability", () => {
  const someShare = fc.double({ min: 0.01, max: 1, noNaN: true });
  fc.assert(fc.property(someLogits, someChance, someShare, (logits, chance, topP) => {
    const { code } = chooseCode(logits, { ...ALL, topP }, chance);
    const probabilities = probabilitiesOf(logits), order = ranked(logits);
    // Before the code, the likelier ones do not reach the share yet.
    const before = order.slice(0, order.indexOf(code)).map((code) => probabilities[code]);
    assert.ok(before.reduce((a, b) => a + b, 0) < topP + 1e-9);
  }));
  const logits = Float32Array.from([0.5, 0.3, 0.2], Math.log);
  const drawn = (topP: number, chance: number) => chooseCode(logits, { ...ALL, topP }, chance).code;
  assert.deepEqual([0, 0.99].map((chance) => drawn(0.5, chance)), [0, 0]);
  assert.deepEqual([0, 0.62, 0.63, 0.99].map((chance) => drawn(0.6, chance)), [0, 0, 1, 1]);
  assert.deepEqual([0.49, 0.51, 0.81].map((chance) => drawn(1, chance)), [0, 1, 2]);
});

Deno.test("top-p is applied to the probabilities after top-k", () => {
  const logits = Float32Array.from([0.4, 0.3, 0.2, 0.1], Math.log);
  // Of the two likeliest, the first has 4/7.
  const drawn = (topP: number) => chooseCode(logits, { temperature: 1, topK: 2, topP }, 0.99).code;
  assert.equal(drawn(0.55), 0);
  assert.equal(drawn(0.6), 1);
});

Deno.test("among equally likely codes the first are kept", () => {
  const logits = Float32Array.of(1, 2, 1, 1, 2);
  const drawn = (settings: Partial<ChoiceSettings>) =>
    new Set(
      Array.from({ length: 200 }, (_, index) =>
        chooseCode(logits, { ...ALL, ...settings }, index / 200).code),
    );
  assert.deepEqual([...drawn({ topK: 1 })], [1]);
  assert.deepEqual([...drawn({ topK: 3 })], [0, 1, 4]);
  assert.deepEqual([...drawn({ topK: 4 })], [0, 1, 2, 4]);
  assert.deepEqual([...drawn({ topK: 5 })], [0, 1, 2, 3, 4]);
});

Deno.test("temperature 0 chooses the likeliest code, the first among equals", () => {
  fc.assert(fc.property(someLogits, someChance, (logits, chance) => {
    assert.equal(chooseCode(logits, { ...ALL, temperature: 0 }, chance).code, ranked(logits)[0]);
  }));
});

Deno.test("a low temperature and a large logit do not overflow", () => {
  const logits = Float32Array.of(3e38, -3e38, 0);
  assert.equal(chooseCode(logits, { ...ALL, temperature: 1e-6 }, 0.999).code, 0);
});

Deno.test("an impossible code is never drawn", () => {
  const logits = Float32Array.of(-Infinity, 0, -Infinity, 0, -Infinity);
  for (const settings of [ALL, { ...ALL, topK: 4 }, { ...ALL, topP: 1 }]) {
    const drawn = [0, 0.49, 0.51, 1 - 2 ** -53].map((chance) =>
      chooseCode(logits, settings, chance).code
    );
    assert.deepEqual(drawn, [1, 1, 3, 3]);
  }
});

Deno.test("the reported probability is that of the unmodified logits", () => {
  fc.assert(fc.property(someLogits, someChance, someTemperature, (logits, chance, temperature) => {
    const { code, logProbability } = chooseCode(
      logits,
      { temperature, topK: 1, topP: 0.5 },
      chance,
    );
    assert.ok(Math.abs(logProbability - Math.log(probabilitiesOf(logits)[code])) < 1e-9);
  }));
});

Deno.test("the uniform numbers are uniform and differ by image and position", () => {
  const count = 100, seen = new Set<number>(), tenths = new Float64Array(10);
  for (let image = 0; image < count; image++) {
    for (let position = 0; position < count; position++) {
      const chance = drawOf(key, image, position).chance;
      assert.ok(chance >= 0 && chance < 1);
      seen.add(chance);
      tenths[Math.floor(chance * 10)]++;
    }
  }
  assert.equal(seen.size, count * count);
  // 1,000 of 10,000 are expected in each; the deviation is 30.
  assert.ok(tenths.every((number) => Math.abs(number - 1000) < 150), `${tenths}`);
  assert.equal(drawOf(key, 3, 5).chance, drawOf({ ...key }, 3, 5).chance);
  assert.notEqual(drawOf(key, 3, 5).chance, drawOf({ ...key, step: 1 }, 3, 5).chance);
});

Deno.test("invalid logits and settings are rejected", () => {
  const refused = (run: () => unknown, message: string) =>
    assert.throws(run, { name: "RangeError", message });
  const choose = (...logits: number[]) => () => chooseCode(Float32Array.from(logits), ALL, 0);
  refused(choose(0, NaN), "Cannot choose a code: a logit must be a finite number, got NaN");
  refused(choose(Infinity), "Cannot choose a code: a logit must be a finite number, got Infinity");
  refused(
    choose(-Infinity, -Infinity),
    "Cannot choose a code: a code must be possible, got -Infinity for all logits",
  );
  refused(
    () => checkChoice({ ...ALL, topK: 513 }, 512),
    "Cannot sample: topK must be at most the 512 codes, got 513",
  );
  assert.throws(() => chooseCode(Float32Array.of(1, 2), { ...ALL, topK: 3 }, 0), RangeError);
});
