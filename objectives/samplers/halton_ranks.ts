/** An order of the places of a grid whose first places are always spread over the whole grid. */

/** Van der Corput's sequence: the digits of a number in a base, mirrored at the point. */
function radicalInverse(number: number, base: number): number {
  let [inverse, unit] = [0, 1];
  for (let rest = number; rest > 0; rest = Math.floor(rest / base)) {
    unit /= base;
    inverse += rest % base * unit;
  }
  return inverse;
}

/** Orders the places of a grid by Halton's sequence in the bases 2 and 3: the first points of the sequence give the first
 * places, and a place that has come before is skipped.
 *
 * ```ts
 * import { haltonRanks } from "./halton_ranks.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([...haltonRanks(2, 3)], [5, 3, 1, 2, 0, 4]);
 * ```
 * @returns `[height·width]`: the rank of each place, row by row
 */
export function haltonRanks(height: number, width: number): Int32Array {
  const ranks = new Int32Array(height * width).fill(-1);
  for (let point = 1, rank = 0; rank < ranks.length; point++) {
    const row = Math.floor(radicalInverse(point, 2) * height);
    const place = row * width + Math.floor(radicalInverse(point, 3) * width);
    if (ranks[place] === -1) ranks[place] = rank++;
  }
  return ranks;
}
