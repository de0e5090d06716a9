/** Judges nearest keys by the similarity they achieve, since rounding decides between keys that are nearly as near. */
import type { HostArray } from "../../core/backend.ts";
import type { Attributes } from "../../core/ops.ts";
import { gumbel, philox } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import { FLOAT32 } from "./agreement.ts";
import assert from "node:assert/strict";

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((total, x, d) => total + x * b[d], 0);

/** Fails unless every chosen key is as similar to its query as the expected one, but for rounding: FLOAT32 of
 * ‖q‖² + ‖k‖² where distances are compared, of 1 where cosines are, and of the noise's size. */
export function judgeNearest(
  [count, width]: Shape,
  [size]: Shape,
  { distance, noise }: Attributes["nearest"],
): (got: HostArray, expected: HostArray, inputs: readonly HostArray[]) => void {
  return (got, expected, [queries, keys]) => {
    const words = new Uint32Array(4);
    const similarity = (n: number, k: number): { value: number; scale: number } => {
      const q = queries.subarray(n * width, (n + 1) * width);
      const key = keys.subarray(k * width, (k + 1) * width);
      const qq = dot(q, q), kk = dot(key, key), qk = dot(q, key);
      let value = distance === "l2"
        ? 2 * qk - qq - kk
        : qk / (Math.max(Math.sqrt(qq), 1e-12) * Math.max(Math.sqrt(kk), 1e-12));
      let scale = distance === "l2" ? qq + kk : 1;
      if (noise !== undefined) {
        philox(noise, k >>> 2, n, words);
        const drawn = gumbel(words[k % 4]);
        value += drawn;
        scale += Math.abs(drawn);
      }
      return { value, scale };
    };
    assert.equal(got.length, count, "one index a query");
    got.forEach((k, n) => {
      assert.ok(k >= 0 && k < size, `query ${n}: index ${k} is not in [0, ${size})`);
      const chosen = similarity(n, k), best = similarity(n, expected[n]);
      assert.ok(
        best.value - chosen.value <= FLOAT32 * Math.max(chosen.scale, best.scale),
        `query ${n}: key ${k} has similarity ${chosen.value}, key ${expected[n]} has ${best.value}`,
      );
    });
  };
}
