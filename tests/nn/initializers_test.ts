/** Keys for the parts of a whole. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import { partKey } from "../../nn/initializers.ts";

Deno.test("the parts of a key, and their parts, have independent streams", () => {
  const key = randomKey(3, "model", 5);
  const streams = new Set([key.stream]);
  let count = 1;
  for (let part = 0; part < 20; part++) {
    const outer = partKey(key, part);
    assert.deepEqual([outer.seed, outer.step], [3, 5]);
    streams.add(outer.stream);
    count++;
    for (let inner = 0; inner < 20; inner++) {
      const { stream } = partKey(outer, inner);
      assert.ok(Number.isInteger(stream) && stream >= 0 && stream < 2 ** 32);
      streams.add(stream);
      count++;
    }
  }
  assert.equal(streams.size, count);
  assert.deepEqual(partKey(key, 4), partKey(key, 4));
});
