/** The quantisers' equations (arXiv 1711.00937 and 2307.15139) in plain float64 loops. */
import type { Distance } from "../../core/ops.ts";

/** Rows of one length. */
export type Matrix = readonly (readonly number[])[];

/** Splits values into rows of `width`. */
export function rowsOf(values: ArrayLike<number>, width: number): number[][] {
  return Array.from(
    { length: values.length / width },
    (_, row) => Array.from({ length: width }, (_, d) => values[row * width + d]),
  );
}

const total = (terms: readonly number[]): number => terms.reduce((sum, term) => sum + term, 0);

/** The mean of some numbers. */
export const mean = (terms: readonly number[]): number => total(terms) / terms.length;

const dot = (a: readonly number[], b: readonly number[]): number =>
  total(a.map((x, d) => x * b[d]));

/** −‖a − b‖², or the cosine. */
export function similarity(a: readonly number[], b: readonly number[], distance: Distance): number {
  return distance === "l2"
    ? -total(a.map((x, d) => (x - b[d]) ** 2))
    : dot(a, b) / Math.max(Math.hypot(...a), 1e-12) / Math.max(Math.hypot(...b), 1e-12);
}

/** The place of the greatest, the first among equals. */
export const argmax = (values: readonly number[]): number => values.indexOf(Math.max(...values));

/** The most similar of `keys` to each of `queries`. */
export function nearest(queries: Matrix, keys: Matrix, distance: Distance): number[] {
  return queries.map((query) => argmax(keys.map((key) => similarity(query, key, distance))));
}

/** How often each of `size` codes was chosen. */
export function countsOf(indices: readonly number[], size: number): number[] {
  return Array.from(
    { length: size },
    (_, code) => indices.filter((index) => index === code).length,
  );
}

/** The contrastive loss: sorts the similarities of every code. */
export function contrastive(
  codebook: Matrix,
  features: Matrix,
  distance: Distance,
  temperature: number,
): number {
  const count = features.length;
  return mean(codebook.map((code) => {
    const sorted = features.map((z) => similarity(z, code, distance)).sort((a, b) => a - b);
    const positives = sorted.slice(-Math.max(1, Math.floor(count / codebook.length)));
    const negatives = sorted.slice(0, Math.floor(count / 2));
    const logits = [mean(positives), ...negatives].map((value) => value / temperature);
    const greatest = Math.max(...logits);
    return greatest + Math.log(total(logits.map((logit) => Math.exp(logit - greatest)))) -
      logits[0];
  }));
}

/** The gradient of the contrastive loss by the codebook, by central differences. */
export function contrastiveGradient(
  codebook: Matrix,
  features: Matrix,
  distance: Distance,
  temperature: number,
): number[] {
  const step = 1e-5;
  return codebook.flatMap((code, k) =>
    code.map((_, d) => {
      const moved = (by: number) =>
        codebook.map((row, r) => row.map((x, c) => r === k && c === d ? x + by : x));
      const at = (by: number) => contrastive(moved(by), features, distance, temperature);
      return (at(step) - at(-step)) / (2 * step);
    })
  );
}

/** Quantises, with both losses, and their gradients when `Σ quantized·upstream` is added to them. */
export function quantize(
  features: Matrix,
  codebook: Matrix,
  upstream: Matrix,
  distance: Distance,
  commitmentWeight: number,
): {
  indices: number[];
  quantized: number[];
  commitment: number;
  codebookLoss: number;
  byFeatures: number[];
  byCodebook: number[];
} {
  const indices = nearest(features, codebook, distance);
  const codes = indices.map((index) => codebook[index]);
  const elements = features.length * features[0].length;
  const error = mean(features.flatMap((z, n) => z.map((x, d) => (codes[n][d] - x) ** 2)));
  return {
    indices,
    quantized: codes.flat(),
    commitment: commitmentWeight * error,
    codebookLoss: error,
    byFeatures: features.flatMap((z, n) =>
      z.map((x, d) => upstream[n][d] + commitmentWeight * 2 * (x - codes[n][d]) / elements)
    ),
    byCodebook: codebook.flatMap((code, k) =>
      code.map((x, d) =>
        total(features.map((z, n) => indices[n] === k ? 2 * (x - z[d]) / elements : 0))
      )
    ),
  };
}

/** N_k ← γ·N_k + (1 − γ)·n_k/N. */
export function runningUsage(
  running: readonly number[],
  counts: readonly number[],
  decay: number,
): number[] {
  return running.map((share, k) => decay * share + (1 - decay) * counts[k] / total(counts));
}

/** α_k = exp(−N_k·K·10/(1 − γ) − ε). */
export function alphas(running: readonly number[], decay: number, epsilon: number): number[] {
  return running.map((share) => Math.exp(-share * running.length * 10 / (1 - decay) - epsilon));
}

/** e_k ← (1 − α_k)·e_k + α_k·ẑ_k. */
export function moved(codebook: Matrix, anchors: Matrix, alpha: readonly number[]): number[] {
  return codebook.flatMap((code, k) =>
    code.map((x, d) => (1 - alpha[k]) * x + alpha[k] * anchors[k][d])
  );
}
