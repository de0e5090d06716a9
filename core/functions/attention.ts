/** Attention: each query gets a weighted mean of the values, weighted by how well their keys match the query.
 */
import { apply } from "../execute.ts";
import type { Device, Tensor } from "../tensor.ts";

/** Options of `attention`. */
export interface AttentionOptions {
  /** Query i of S sees the keys 0 … i + T − S of T: the last query sees the last key. By default it sees all. */
  readonly causal?: boolean;
  /** The scale of the products of queries and keys; by default 1/√D. */
  readonly scale?: number;
  /** int32 `[S]`: query i sees only the keys before visible[i]; see `blockVisibility`. */
  readonly visible?: Tensor;
}

/** Scaled dot-product attention of every head: softmax(scale·q·kᵀ)·v over the keys that a query sees.
 *
 * Source: arXiv 1706.03762, 3.2; computed as in arXiv 2307.08691. The S × T matrix of weights is never in memory,
 * neither forward nor backward. The result is zeros for a query that sees no key.
 *
 * ```ts
 * import { attention, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const queries = device.tensor([0], [1, 1, 1, 1]);
 * const keys = device.tensor([5, -5], [1, 2, 1, 1]);
 * const values = device.tensor([1, 3], [1, 2, 1, 1]);
 * assert.deepEqual([...await attention(queries, keys, values).floats()], [2]);
 * ```
 * @param queries float32 `[B, S, H, D]`, H heads of width D
 * @param keys float32 `[B, T, H, D]`
 * @param values float32 `[B, T, H, D]`
 * @returns float32 `[B, S, H, D]`
 * @throws {TypeError} the shapes do not match
 */
export function attention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  { causal = false, scale = 1 / Math.sqrt(queries.shape[3]), visible }: AttentionOptions = {},
): Tensor {
  const operands: [Tensor, ...Tensor[]] = [queries, keys, values];
  if (visible !== undefined) operands.push(visible);
  return apply("attention", operands, { causal, scale });
}

/** Visibility for tokens that are generated block by block, such as the scales of an image (arXiv 2404.02905): each
 * sees all tokens of its own block and of earlier blocks.
 *
 * ```ts
 * import { blockVisibility, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * assert.deepEqual([...await blockVisibility(device, [1, 2]).integers()], [1, 3, 3]);
 * ```
 * @param lengths the number of tokens in each block
 * @returns int32, one element per token, for `attention`
 */
export function blockVisibility(device: Device, lengths: readonly number[]): Tensor {
  let total = 0;
  const visible = lengths.flatMap((length) => {
    total += length;
    return new Array<number>(length).fill(total);
  });
  return device.tensor(Int32Array.from(visible), [total]);
}
