/** Text of statements that are unrolled. */

/** The numbers 0 … count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** A text for each of the numbers 0 … count − 1, on lines of their own. */
export const each = (count: number, text: (at: number) => string): string =>
  range(count).map(text).join("\n");

/** The elements of a vector. */
export const LANES = "xyzw";
