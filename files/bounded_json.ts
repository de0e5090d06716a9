/** JSON that is read back from files, within bounds: a text of a few megabytes can ask for gigabytes of empty lists. */

/** What a text makes may take so many bytes of memory, and so many for each letter. */
const FREE_BYTES = 3 * 2 ** 23, EXPANSION = 6;
/** Bytes that a list or an object takes, a property, and an element; about. */
const CONTAINER = 64, PROPERTY = 48, ELEMENT = 16;
/** Values may lie within each other so deep. */
const MOST_DEPTH = 64;

/** Parses JSON.
 *
 * ```ts
 * import { parseJson } from "./bounded_json.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseJson('{"step": 1}', "memory"), { step: 1 });
 * assert.throws(() => parseJson("[".repeat(100) + "]".repeat(100), "memory"), RangeError);
 * ```
 * @param source what the messages call the text: a path
 * @throws {RangeError} it makes far more than its length, or is nested deeply
 * @throws {SyntaxError} it is no JSON
 */
// deno-lint-ignore no-explicit-any -- as `JSON.parse` gives it; whoever calls checks it.
export function parseJson(text: string, source: string): any {
  checkJson(text, source);
  return JSON.parse(text);
}

/** Checks what a text, or the lines of a text, would make as JSON; it may be broken.
 * @param source what the message calls the text: a path
 * @throws {RangeError} it makes far more than its length, or is nested deeply
 */
export function checkJson(text: string, source: string): void {
  const most = FREE_BYTES + EXPANSION * text.length;
  let bytes = 0, depth = 0, inText = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === "\n") {
      inText = false; // No text goes over a line's end; a line may be cut short.
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
        `Cannot read ${source}: its values must take at most ${most} bytes, got more in ${text.length} letters`,
      );
    }
  }
}
