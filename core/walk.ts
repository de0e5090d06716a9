/** Where the operands of a kernel lie: axes merged as far as their strides allow. */
import type { Shape } from "./shape.ts";

/** Positions that a kernel visits in row-major order, and how far each operand moves on each axis. */
export interface Walk {
  /** The lengths of the axes. */
  readonly sizes: readonly number[];
  /** For each operand, the elements to step on each axis. */
  readonly strides: readonly (readonly number[])[];
}

/** Drops axes of length 1 and merges neighbours that every operand walks through as one. At least one axis stays. */
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
