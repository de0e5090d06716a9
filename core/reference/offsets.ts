/** The order in which a kernel visits a tensor's elements. */
import { type Shape, sizeOf } from "../shape.ts";

/** For every position of `shape`, row-major, the offset `start + Σ index[axis] · strides[axis]`. */
export function offsetsOf(
  shape: Shape,
  strides: readonly number[],
  start = 0,
): Int32Array<ArrayBuffer> {
  const offsets = new Int32Array(sizeOf(shape));
  const index = shape.map(() => 0);
  let offset = start;
  for (let position = 0; position < offsets.length; position++) {
    offsets[position] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return offsets;
}

/** The offset of one position: `Σ index[axis] · strides[axis]`. */
export function offsetAt(index: readonly number[], strides: readonly number[]): number {
  return index.reduce((offset, at, axis) => offset + at * strides[axis], 0);
}
