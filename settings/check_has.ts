/** Checks that an object names something, such as its type. */
import { showSetting } from "./settings.ts";

/** Rejects anything but an object with a string in a certain field.
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
 * @param name the name of the field
 * @param action what the caller is doing, for the message
 * @param requirement what is required, for the message
 * @throws {TypeError} the value is not such an object
 */
export function checkHas(value: unknown, name: string, action: string, requirement: string): void {
  const isObject = typeof value === "object" && value !== null;
  if (isObject && typeof (value as Record<string, unknown>)[name] === "string") return;
  const got = isObject
    ? `one of ${Object.keys(value).slice(0, 5).join(", ") || "nothing"}`
    : showSetting(value);
  throw new TypeError(`Cannot ${action}: the configuration must be ${requirement}, got ${got}`);
}
