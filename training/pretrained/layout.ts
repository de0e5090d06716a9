/** How our tensors are laid out in PyTorch files. */
import type { HostTensor } from "../../core/host_tensor.ts";

/** `same`: unchanged. `filter`: `[KH, KW, I, O]` as `[O, I, KH, KW]` (of a transposed convolution, `[KH, KW, O, I]` as
 * `[I, O, KH, KW]`). `matrix`: `[I, O]` as `[O, I]`. `convolution`: `[I, O]` as the filter `[O, I, 1, 1]`. */
export type Layout = "same" | "filter" | "matrix" | "convolution";

/** Where a published file has one of our tensors. */
export interface Place {
  /** Its name in the file. */
  readonly name: string;
  /** Its layout in the file. */
  readonly layout: Layout;
}

/** The place of each tensor of a module, by our name; undefined for a tensor that such files do not have. */
export type NameTable = (ours: string) => Place | undefined;

/** Converts one of our tensors to the layout of PyTorch files. */
export function toPyTorch(tensor: HostTensor, layout: Layout): HostTensor {
  const { shape } = tensor;
  if (layout === "same") return tensor;
  if (layout === "filter") return reordered(tensor, [3, 2, 0, 1]);
  const matrix = reordered(tensor, [1, 0]);
  return layout === "matrix" ? matrix : { ...matrix, shape: [shape[1], shape[0], 1, 1] };
}

/** Converts a tensor of a PyTorch file to our layout. A tensor whose axes do not match the layout is returned
 * unchanged. */
export function fromPyTorch(tensor: HostTensor, layout: Layout): HostTensor {
  const { shape, values } = tensor;
  if (layout === "filter") return shape.length === 4 ? reordered(tensor, [2, 3, 1, 0]) : tensor;
  if (layout === "same") return tensor;
  // A 1×1 convolution is a matrix; some files store it one way, some the other.
  const isMatrix = shape.length === 2 || shape.length === 4 && shape[2] * shape[3] === 1;
  return isMatrix ? reordered({ shape: shape.slice(0, 2), values }, [1, 0]) : tensor;
}

/** Permutes the axes of a tensor: output axis i is input axis order[i]. */
function reordered({ shape, values }: HostTensor, order: readonly number[]): HostTensor {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const moved = order.map((axis) => shape[axis]), steps = order.map((axis) => strides[axis]);
  const result = values instanceof Float32Array
    ? new Float32Array(values.length)
    : new Int32Array(values.length);
  const place = new Array<number>(moved.length).fill(0);
  let from = 0;
  for (let at = 0; at < result.length; at++) {
    result[at] = values[from];
    for (let axis = moved.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++place[axis] < moved[axis]) break;
      from -= steps[axis] * moved[axis];
      place[axis] = 0;
    }
  }
  return { shape: moved, values: result };
}
