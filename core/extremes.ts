/** The least and the greatest of many numbers. `Math.max(...values)` passes them as arguments, and ends with a stack
 * overflow from some hundred thousand on. */

/** The least of some numbers: Infinity of none, NaN where one is. */
export function leastOf(values: Iterable<number>): number {
  let least = Infinity;
  for (const value of values) least = Math.min(least, value);
  return least;
}

/** The greatest of some numbers: −Infinity of none, NaN where one is.
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
