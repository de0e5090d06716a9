/** Control characters, which have no place in names, pages, tables or scripts. */

/** Control characters of ASCII and Latin-1, and Unicode's line ends and marks that turn the direction of text. */
// deno-lint-ignore no-control-regex -- they are what it is about
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** A text in one line: a control character, a line end too, becomes a space. */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, " ");
}

/** Refuses a text with control characters, for a place where it could end a line or a word.
 * @param action what cannot be done, such as `launch with slurm`
 * @param what the text is
 * @throws {RangeError} it has one
 */
export function checkControls(action: string, what: string, text: string): void {
  if (withoutControls(text) === text) return;
  throw new RangeError(
    `Cannot ${action}: ${what} must have no control characters, got ${JSON.stringify(text)}`,
  );
}
