/** Checks what programs hand to functions that take a name within an object. */
import { showSetting } from "./settings.ts";

/** Refuses what is no object with a text of a name.
 *
 * ```ts
 * import { checkHas } from "./check_has.ts";
 * import assert from "node:assert/strict";
 * checkHas({ type: "fsq" }, "type", "make a quantizer", "an object with a type");
 * assert.throws(() => checkHas({ kind: "fsq" }, "type", "make a quantizer", "an object with a type"), {
 *   name: "TypeError",
 *   message: "Cannot make a quantizer: the configuration must be an object with a type, got one of kind",
 * });
 * ```
 * @param name of the field
 * @param action what is done, for the message
 * @param requirement what must be given, for the message
 * @throws {TypeError} it is none
 */
export function checkHas(value: unknown, name: string, action: string, requirement: string): void {
  const isObject = typeof value === "object" && value !== null;
  if (isObject && typeof (value as Record<string, unknown>)[name] === "string") return;
  const got = isObject
    ? `one of ${Object.keys(value).slice(0, 5).join(", ") || "nothing"}`
    : showSetting(value);
  throw new TypeError(`Cannot ${action}: the configuration must be ${requirement}, got ${got}`);
}
