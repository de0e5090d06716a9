/** Numbers in JSON, which cannot represent values that are not finite. This program writes them as the strings
 * "Infinity", "-Infinity" and "NaN". All other numbers are written as numbers. null means "not measured". */

/** A number as it is written to JSON. */
export type JsonNumber = number | "Infinity" | "-Infinity" | "NaN";

/** A number as it is written to JSON.
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

/** Converts a number back from its form in JSON. */
export function fromJsonNumber(value: JsonNumber): number {
  return Number(value);
}

/** A replacer for `JSON.stringify` that applies the rule to every number. */
export function jsonNumbers(_name: string, value: unknown): unknown {
  return typeof value === "number" ? toJsonNumber(value) : value;
}

/** Converts every number within a value by the rule, as writing and parsing JSON would. */
export function readyForJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, jsonNumbers));
}
