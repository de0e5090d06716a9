/** Quotes words for shells and Slurm scripts. */
import { hasControls } from "../../training/printable.ts";

/** Quotes a word for a shell (sh, bash, zsh): it stays one word, and nothing in it is executed.
 *
 * ```ts
 * import { quoteShell } from "./shell.ts";
 * import assert from "node:assert/strict";
 * assert.equal(quoteShell("runs/a"), "runs/a");
 * assert.equal(quoteShell("it's $HOME"), "'it'\\''s $HOME'");
 * assert.throws(() => quoteShell("a\nb"), RangeError);
 * ```
 * @throws {RangeError} it has control characters, which would split it in a script that is read line by line
 */
export function quoteShell(word: string): string {
  checkWord(word);
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Quotes a value in an `#SBATCH` line, which sbatch parses by its own rules.
 * @throws {RangeError} it has control characters
 */
export function quoteSbatch(value: string): string {
  checkWord(value);
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Rejects text that is not allowed in any script.
 * @throws {RangeError} it has control characters
 */
export function checkWord(word: string): void {
  if (!hasControls(word)) return;
  throw new RangeError(
    `Cannot write a command: its words must have no control characters, got ${
      JSON.stringify(word)
    }`,
  );
}
