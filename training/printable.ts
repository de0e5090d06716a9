/** Text for terminals and lines of tables. */

import { jsonNumbers } from "../files/json_number.ts";

/** What moves the cursor, begins a command of a terminal, or ends a line. */
const CONTROLS = /[\p{Cc}\u2028\u2029]/u;
/** The same, and what turns the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** A name as it can be printed: each control character is a �.
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

/** The same of a text that may have lines and tabs. */
export function printableLines(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (control) => control === "\n" || control === "\t" ? control : "�",
  );
}

/** A value as one line of JSON that can be printed: what JSON lets stand, and terminals do not, is escaped; a number that
 * is not finite stands as its text. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, jsonNumbers).replace(
    UNPRINTABLE,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether a name has what must not stand in a script: control characters, or halves of characters. */
export function hasControls(name: string): boolean {
  return CONTROLS.test(name) || !name.isWellFormed();
}
