/** How precisely layers are computed. */

/** `float32`, or `mixed`: the operands of convolutions, and of the matrix products that allow it, are rounded to float16
 * and multiplied as such; products are summed in float32 but for runs of four. All else is float32. */
export type Precision = "float32" | "mixed";

/** The precisions. */
export const PRECISIONS: readonly Precision[] = ["float32", "mixed"];
