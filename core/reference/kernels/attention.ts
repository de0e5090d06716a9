/** Attention over `[batch, length, heads, width]`, query by query. */
import type { View } from "../../backend.ts";
import type { AttentionAttributes, Attributes } from "../../ops.ts";
import { floats, ints, type ReferenceBuffer, type ReferenceKernel } from "../buffer.ts";

type Tensor = View<ReferenceBuffer>;

/** One query of one head: the offset of its elements, its number among all queries (for l and d), and the keys it
 * sees. */
interface Query {
  readonly at: number;
  readonly number: number;
  /** The offset of the elements of each visible key and of its value. */
  readonly keys: readonly number[];
}

/** Calls `visit` with every query of every head. */
function eachQuery(
  q: Tensor,
  k: Tensor,
  visible: Tensor | undefined,
  { causal }: AttentionAttributes,
  visit: (query: Query) => void,
): void {
  const [batch, queries, heads, width] = q.shape, count = k.shape[1];
  const limits = visible === undefined ? undefined : ints(visible);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < queries; i++) {
      const allowed = causal ? i + 1 + count - queries : count;
      const seen = Math.max(0, Math.min(count, allowed, limits?.[i] ?? count));
      for (let h = 0; h < heads; h++) {
        const number = (b * queries + i) * heads + h;
        const keys = Array.from(
          { length: seen },
          (_, j) => ((b * count + j) * heads + h) * width,
        );
        visit({ at: number * width, number, keys });
      }
    }
  }
}

/** Σ a·b over `width` elements. */
function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, width: number): number {
  let total = 0;
  for (let d = 0; d < width; d++) total += a[atA + d] * b[atB + d];
  return total;
}

/** y = Σ pⱼ·vⱼ, p = softmax(scale·q·kⱼ); l = ln Σ exp(scale·q·kⱼ) */
const attention: ReferenceKernel<Attributes["attention"]> = (
  [query, key, value, visible],
  [output, logsumexps],
  attributes,
) => {
  const q = floats(query), k = floats(key), v = floats(value);
  const y = floats(output), l = floats(logsumexps), width = query.shape[3];
  eachQuery(query, key, visible, attributes, ({ at, number, keys }) => {
    const logits = keys.map((j) => attributes.scale * dot(q, at, k, j, width));
    const greatest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = logits.map((logit) => Math.exp(logit - greatest));
    const total = powers.reduce((a, b) => a + b, 0);
    l[number] = keys.length === 0 ? 0 : greatest + Math.log(total);
    for (let d = 0; d < width; d++) {
      y[at + d] = keys.reduce((sum, j, index) => sum + powers[index] / total * v[j + d], 0);
    }
  });
};

/** With pⱼ = exp(scale·q·kⱼ − l) and sⱼ = pⱼ·(g·vⱼ − d)·scale:
 * dq = Σ sⱼ·kⱼ, dkⱼ = Σ sⱼ·q over the queries, dvⱼ = Σ pⱼ·g over the queries */
const attentionGradient: ReferenceKernel<Attributes["attentionGradient"]> = (
  [query, key, value, gradient, logsumexps, totals, visible],
  outputs,
  attributes,
) => {
  const q = floats(query), k = floats(key), v = floats(value), g = floats(gradient);
  const l = floats(logsumexps), totalsOf = floats(totals), width = query.shape[3];
  const { scale } = attributes;
  const [byQ, byK, byV] = outputs.map((output) => new Float64Array(floats(output).length));
  const add = (sums: Float64Array, to: number, weight: number, from: Float32Array, at: number) => {
    for (let d = 0; d < width; d++) sums[to + d] += weight * from[at + d];
  };
  eachQuery(query, key, visible, attributes, ({ at, number, keys }) => {
    for (const j of keys) {
      const p = Math.exp(scale * dot(q, at, k, j, width) - l[number]);
      const s = p * (dot(g, at, v, j, width) - totalsOf[number]) * scale;
      add(byQ, at, s, k, j);
      add(byK, j, s, q, at);
      add(byV, j, p, g, at);
    }
  });
  [byQ, byK, byV].forEach((sums, index) => floats(outputs[index]).set(sums));
};

/** Attention and its gradients. */
export const attentions = { attention, attentionGradient };
