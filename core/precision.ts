/** The precision of layers. */

/** `float32`, or `mixed`: the operands of convolutions, and of matrix products that allow it, are rounded to float16
 * and multiplied in float16. Products are summed in float32, except within groups of four. Everything else is
 * float32. */
export type Precision = "float32" | "mixed";

/** The names of the precisions. */
export const PRECISIONS: readonly Precision[] = ["float32", "mixed"];
