/** The cost of an operation: the bytes it must move and the floating-point operations it must do. */
import type { AttentionAttributes, Attributes, OperationName, ViewName } from "./ops.ts";
import { type DType, type Shape, sizeOf, type Spec } from "./shape.ts";

/** The minimal work of a kernel. */
export interface Cost {
  /** Bytes read and written: each operand once, each output once. */
  readonly bytes: number;
  /** Floating-point operations, counting a multiplication and an addition as one each. Only for compute-bound
   * operations: products, convolutions, nearest codes, attention. The others are memory-bound. */
  readonly operations?: number;
}

/** The compute-bound operations. */
type ArithmeticName =
  | "matmul"
  | "conv2d"
  | "convTranspose2d"
  | "conv2dFilter"
  | "nearest"
  | "attention"
  | "attentionGradient";

type Count<A> = (inputs: readonly Spec[], outputs: readonly Spec[], attributes: A) => number;

/** A multiplication and an addition for each tap of each output of the convolution, including taps on the padding.
 * @param convolved the output of conv2d, or its gradient: [B, H', W', Cout]
 * @param filter [KH, KW, Cin, …]
 */
const taps = (convolved: Shape, [height, width, channels]: Shape): number =>
  2 * sizeOf(convolved) * height * width * channels;

/** The number of products of queries and visible keys. Keys hidden by the operand `visible` are counted too. */
const weights = ([q, k]: readonly Spec[], { causal }: AttentionAttributes): number => {
  const [batch, queries, heads, width] = q.shape, keys = k.shape[1];
  const seen = Array.from(
    { length: queries },
    (_, i) => causal ? Math.max(0, Math.min(keys, i + 1 + keys - queries)) : keys,
  );
  return batch * heads * width * seen.reduce((sum, count) => sum + count, 0);
};

const OPERATIONS: { readonly [N in ArithmeticName]: Count<Attributes[N]> } = {
  matmul: ([a], [product], { transposeA }) =>
    2 * sizeOf(product.shape) * a.shape[transposeA ? 1 : 2],
  conv2d: ([, filter], [y]) => taps(y.shape, filter.shape),
  convTranspose2d: ([g, filter]) => taps(g.shape, filter.shape),
  conv2dFilter: ([, g], [filter]) => taps(g.shape, filter.shape),
  attention: (inputs, _, attributes) => 4 * weights(inputs, attributes),
  // The logits again, the products of the gradient and the values, and the three sums.
  attentionGradient: (inputs, _, attributes) => 10 * weights(inputs, attributes),
  nearest: ([queries, keys]) => 2 * sizeOf(queries.shape) * keys.shape[0],
};

const ELEMENT_BYTES: Readonly<Record<DType, number>> = { float32: 4, int32: 4 };

const bytesOf = (specs: readonly Spec[]): number =>
  specs.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * ELEMENT_BYTES[dtype], 0);

/** The operations that do not read each operand once and write each output once. */
const BYTES: { readonly [N in OperationName]?: Count<Attributes[N]> } = {
  slice: (_, outputs) => 2 * bytesOf(outputs),
  gather: ([, indices], outputs) => bytesOf([indices]) + 2 * bytesOf(outputs),
  adam: (gradients, updated) => bytesOf(gradients) + 2 * bytesOf(updated),
};

/** The minimal work of one run of an operation, on any device.
 *
 * ```ts
 * import { costOf } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const matrix = { shape: [1, 8, 8], dtype: "float32" } as const;
 * const attributes = { transposeA: false, transposeB: false };
 * const { bytes, operations } = costOf("matmul", [matrix, matrix], [matrix], attributes);
 * assert.deepEqual([bytes, operations], [3 * 8 * 8 * 4, 2 * 8 ** 3]);
 * ```
 */
export function costOf<N extends Exclude<OperationName, ViewName>>(
  name: N,
  inputs: readonly Spec[],
  outputs: readonly Spec[],
  attributes: Attributes[N],
): Cost {
  const move = BYTES[name] as Count<Attributes[N]> | undefined;
  const compute = (OPERATIONS as Partial<Record<OperationName, Count<never>>>)[name] as
    | Count<Attributes[N]>
    | undefined;
  return {
    bytes: move?.(inputs, outputs, attributes) ?? bytesOf([...inputs, ...outputs]),
    ...compute === undefined ? {} : { operations: compute(inputs, outputs, attributes) },
  };
}
