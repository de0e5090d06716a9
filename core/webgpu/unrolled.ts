/** The text of unrolled statements. */

/** The numbers 0 … count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** The texts for the numbers 0 … count − 1, one per line. */
export const each = (count: number, text: (at: number) => string): string =>
  range(count).map(text).join("\n");

/** The elements of a vector. */
export const LANES = "xyzw";
