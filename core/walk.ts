/** How a kernel steps through its operands, with axes merged as far as the strides allow. */
import type { Shape } from "./shape.ts";

/** The positions that a kernel visits in row-major order, and the stride of each operand on each axis. */
export interface Walk {
  /** The lengths of the axes. */
  readonly sizes: readonly number[];
  /** For each operand, the stride in elements on each axis. */
  readonly strides: readonly (readonly number[])[];
}

/** Drops axes of length 1 and merges neighbouring axes that every operand steps through as one. At least one axis
 * remains. */
export function mergeAxes(shape: Shape, strides: readonly (readonly number[])[]): Walk {
  const sizes: number[] = [];
  const merged: number[][] = strides.map(() => []);
  for (let axis = 0; axis < shape.length; axis++) {
    if (shape[axis] === 1) continue;
    const last = sizes.length - 1;
    const joins = last >= 0 &&
      strides.every((own, index) => merged[index][last] === own[axis] * shape[axis]);
    if (joins) {
      sizes[last] *= shape[axis];
      strides.forEach((own, index) => merged[index][last] = own[axis]);
    } else {
      sizes.push(shape[axis]);
      strides.forEach((own, index) => merged[index].push(own[axis]));
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    merged.forEach((own) => own.push(0));
  }
  return { sizes, strides: merged };
}
