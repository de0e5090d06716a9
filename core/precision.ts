/** How precisely a device computes matrix products and convolutions. */

/** `float32`, or `mixed`: their operands are rounded to float16, and the sums are float32. */
export type Precision = "float32" | "mixed";

/** The precisions. */
export const PRECISIONS: readonly Precision[] = ["float32", "mixed"];
