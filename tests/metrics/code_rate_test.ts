import assert from "node:assert/strict";
import { CodeRate } from "../../metrics/code_rate.ts";

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 1e-12 * expected, `${actual} instead of ${expected}`);

Deno.test("each code of a position is counted separately, over images of all sizes", () => {
  const rate = new CodeRate({ choices: 8, codesPerPlace: 2 });
  rate.add(Int32Array.of(0, 5, 1, 5, 2, 5, 3, 5), 64);
  rate.add(Int32Array.of(0, 5, 1, 5, 2, 5, 3, 5, 0, 5, 1, 5, 2, 5, 3, 6), 128);
  const { uniform, entropy } = rate.result();
  near(uniform.image, 24 * 3 / 2);
  near(uniform.pixel, 24 * 3 / 192);
  const rare = 1 / 12, bits = 12 * 2 - 12 * (rare * Math.log2(rare) + 11 / 12 * Math.log2(11 / 12));
  near(entropy.image, bits / 2);
  near(entropy.pixel, bits / 192);
});

Deno.test("a rate without images is rejected", () => {
  const rate = new CodeRate({ choices: 8, codesPerPlace: 1 });
  assert.throws(
    () => rate.result(),
    /^RangeError: Cannot measure the rate: there must be an image/,
  );
});
