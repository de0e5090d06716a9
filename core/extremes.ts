/** The minimum and maximum of many numbers. `Math.max(...values)` passes them as arguments, and overflows the stack
 * with more than about a hundred thousand. */

/** The minimum of some numbers: Infinity if there are none, NaN if any is NaN. */
export function leastOf(values: Iterable<number>): number {
  let least = Infinity;
  for (const value of values) least = Math.min(least, value);
  return least;
}

/** The maximum of some numbers: −Infinity if there are none, NaN if any is NaN.
 *
 * ```ts
 * import { greatestOf } from "./extremes.ts";
 * import assert from "node:assert/strict";
 * assert.equal(greatestOf(new Float32Array(2 ** 20)), 0);
 * ```
 */
export function greatestOf(values: Iterable<number>): number {
  let greatest = -Infinity;
  for (const value of values) greatest = Math.max(greatest, value);
  return greatest;
}
