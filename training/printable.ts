/** Makes text safe for terminals and table rows. */

import { jsonNumbers } from "../files/json_number.ts";

/** Characters that move the cursor, start a terminal command, or end a line. */
const CONTROLS = /[\p{Cc}\u2028\u2029]/u;
/** Those characters, and characters that change the writing direction. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Makes a name printable: replaces each control character by �.
 *
 * ```ts
 * import { printable } from "./printable.ts";
 * import assert from "node:assert/strict";
 * assert.equal(printable("runs/\x1b[2Jdigits\n"), "runs/�[2Jdigits�");
 * ```
 */
export function printable(name: string): string {
  return name.replace(UNPRINTABLE, "�");
}

/** As `printable`, but keeps line breaks and tabs. */
export function printableLines(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (control) => control === "\n" || control === "\t" ? control : "�",
  );
}

/** A value as one line of printable JSON. Characters that JSON allows but terminals interpret are escaped. A number
 * that is not finite is written as a string. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, jsonNumbers).replace(
    UNPRINTABLE,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether a name contains characters that are not allowed in a script: control characters or lone surrogates. */
export function hasControls(name: string): boolean {
  return CONTROLS.test(name) || !name.isWellFormed();
}
