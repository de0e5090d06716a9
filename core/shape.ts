/** Shapes and dtypes of tensors. */

/** The element types a tensor may have; each element takes four bytes. */
export type DType = "float32" | "int32";

/** The lengths of a tensor's axes, row-major; `[]` is a scalar. Every axis is at least 1. */
export type Shape = readonly number[];

/** The shape and dtype of a tensor, as shape rules use them. */
export interface Spec {
  /** The lengths of the axes, row-major. */
  readonly shape: Shape;
  /** The element type. */
  readonly dtype: DType;
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

/** Whether two shapes are the same, axis by axis. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/** Formats a shape for messages: `[2, 3]`. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Rejects shapes with an axis that is not a positive integer.
 * @throws {RangeError} an axis is 0, negative or fractional
 */
export function checkShape(shape: Shape, action: string): void {
  if (shape.some((length) => !Number.isInteger(length) || length < 1)) {
    throw new RangeError(
      `Cannot ${action}: every axis must be a positive integer (empty batches are not allowed), got shape ${
        showShape(shape)
      }`,
    );
  }
}

/** The shape that two operands broadcast to, aligned at the last axis (NumPy's rule).
 * @throws {TypeError} an axis differs and neither side is 1
 */
export function broadcastShapes(a: Shape, b: Shape, action: string): Shape {
  const rank = Math.max(a.length, b.length);
  const result = new Array<number>(rank);
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new TypeError(
        `Cannot ${action}: shapes must match or be 1 on every axis, got ${showShape(a)} and ${
          showShape(b)
        }`,
      );
    }
    result[axis] = Math.max(left, right);
  }
  return result;
}

/** The number of elements between neighbouring indices on each axis, row-major. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** Strides with which an operand of `shape` is read at the positions of `target`: 0 where it is broadcast. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((_, axis) => axis < shift || shape[axis - shift] === 1 ? 0 : own[axis - shift]);
}

/** Resolves an axis that may count from the end (−1 is the last).
 * @throws {RangeError} there is no such axis
 */
export function resolveAxis(axis: number, rank: number, action: string): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new RangeError(
      `Cannot ${action}: the axis must be in [${-rank}, ${rank}), got ${axis}`,
    );
  }
  return resolved;
}
