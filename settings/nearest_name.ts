/** Finds the name that was probably meant. */

/** The number of edits (insertions, deletions, substitutions of one letter) between two words (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = previous[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1);
      current[column] = Math.min(substitution, previous[column] + 1, current[column - 1] + 1);
    }
    previous = current;
  }
  return previous[b.length];
}

/** The known name most similar to a misspelt one, ignoring case. Undefined if more than a third of the letters differ.
 * A dotted name is also found by its last part.
 *
 * ```ts
 * import { nearestName } from "./nearest_name.ts";
 * import assert from "node:assert/strict";
 * assert.equal(nearestName("digit", ["digits", "emoji"]), "digits");
 * assert.equal(nearestName("lerningRate", ["optimizer.learningRate"]), "optimizer.learningRate");
 * assert.equal(nearestName("imagenet", ["digits"]), undefined);
 * ```
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase().slice(0, 100);
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  let nearest: string | undefined, least = limit + 1;
  for (const candidate of known) {
    const whole = candidate.toLowerCase();
    const distance = Math.min(
      editDistance(wanted, whole),
      editDistance(wanted, whole.slice(whole.lastIndexOf(".") + 1)),
    );
    if (distance < least) [nearest, least] = [candidate, distance];
  }
  return nearest;
}

/** The end of a message about an unknown name: the most similar known name, or all known names. */
export function suggestName(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === undefined ? `the choices are ${known.join(", ")}` : `did you mean ${nearest}?`;
}
