/** Parses JSON from files with limits: a few megabytes of text can describe gigabytes of empty lists. */

/** The maximum memory of the parsed values in bytes: a constant, plus a number of bytes per character of the text. */
const FREE_BYTES = 3 * 2 ** 23, EXPANSION = 6;
/** The approximate memory in bytes of a list or an object, of a property and of an element. */
const CONTAINER = 64, PROPERTY = 48, ELEMENT = 16;
/** The maximum nesting depth of values. */
const MOST_DEPTH = 64;

/** Parses JSON.
 *
 * ```ts
 * import { parseJson } from "./bounded_json.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseJson('{"step": 1}', "memory"), { step: 1 });
 * assert.throws(() => parseJson("[".repeat(100) + "]".repeat(100), "memory"), RangeError);
 * ```
 * @param source the name of the text in error messages: a path
 * @throws {RangeError} its values need far more memory than its length allows, or are nested too deep
 * @throws {SyntaxError} it is not JSON
 */
// deno-lint-ignore no-explicit-any -- as from `JSON.parse`; the caller checks it.
export function parseJson(text: string, source: string): any {
  checkJson(text, source);
  return JSON.parse(text);
}

/** Checks the limits for a text, or for lines of text, before it is parsed. The JSON may be invalid.
 * @param source the name of the text in error messages: a path
 * @throws {RangeError} its values need far more memory than its length allows, or are nested too deep
 */
export function checkJson(text: string, source: string): void {
  const most = FREE_BYTES + EXPANSION * text.length;
  let bytes = 0, depth = 0, inText = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === "\n") {
      inText = false; // A string never spans lines, but a line may be truncated.
      bytes += ELEMENT;
    } else if (inText) {
      if (letter === "\\") at++;
      else if (letter === '"') inText = false;
    } else if (letter === '"') inText = true;
    else if (letter === ":") bytes += PROPERTY;
    else if (letter === ",") bytes += ELEMENT;
    else if (letter === "[" || letter === "{") {
      bytes += CONTAINER;
      if (++depth > MOST_DEPTH) {
        throw new RangeError(
          `Cannot read ${source}: its values must be nested at most ${MOST_DEPTH} deep, got more`,
        );
      }
    } else if (letter === "]" || letter === "}") depth--;
    if (bytes > most) {
      throw new RangeError(
        `Cannot read ${source}: its values must take at most ${most} bytes, got more in ${text.length} characters`,
      );
    }
  }
}
