/** Words as shells and Slurm's scripts read them. */
import { hasControls } from "../../training/printable.ts";

/** A word for a shell (sh, bash, zsh): whatever it holds, it stays one word, and nothing of it is carried out.
 *
 * ```ts
 * import { quoteShell } from "./shell.ts";
 * import assert from "node:assert/strict";
 * assert.equal(quoteShell("runs/a"), "runs/a");
 * assert.equal(quoteShell("it's $HOME"), "'it'\\''s $HOME'");
 * assert.throws(() => quoteShell("a\nb"), RangeError);
 * ```
 * @throws {RangeError} it has control characters: what reads a script line by line would take it apart
 */
export function quoteShell(word: string): string {
  checkWord(word);
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A value in a line of `#SBATCH`, which sbatch reads by rules of its own.
 * @throws {RangeError} it has control characters
 */
export function quoteSbatch(value: string): string {
  checkWord(value);
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Refuses what must not get into any script.
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
