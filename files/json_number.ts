/** Numbers in JSON, which has no word for those that are not finite. THE rule of this program: such a number stands as its
 * text, "Infinity", "-Infinity" or "NaN", and any other as itself; null is what was not measured. */

/** A number as JSON keeps it. */
export type JsonNumber = number | "Infinity" | "-Infinity" | "NaN";

/** A number as JSON keeps it.
 *
 * ```ts
 * import { fromJsonNumber, toJsonNumber } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.deepEqual([2.5, Infinity].map(toJsonNumber), [2.5, "Infinity"]);
 * assert.equal(fromJsonNumber("Infinity"), Infinity);
 * ```
 */
export function toJsonNumber(value: number): JsonNumber {
  return Number.isFinite(value) ? value : String(value) as JsonNumber;
}

/** The number that JSON keeps so. */
export function fromJsonNumber(value: JsonNumber): number {
  return Number(value);
}

/** For `JSON.stringify`: keeps every number of a value by the rule. */
export function jsonNumbers(_name: string, value: unknown): unknown {
  return typeof value === "number" ? toJsonNumber(value) : value;
}

/** A value as it comes back from JSON, with every number kept by the rule. */
export function readyForJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, jsonNumbers));
}
