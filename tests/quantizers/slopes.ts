/** What the tests of equations need in float64: gradients by central differences, and functions over rows. */
import type { Device, Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../core/functions/elementwise.ts";
import { sum } from "../../core/functions/reductions.ts";
import type { Shape } from "../../core/shape.ts";
import { parameter } from "../../core/execute.ts";
import type { Quantized } from "../../quantizers/quantizer.ts";

/** Plain values. */
export type Values = ArrayLike<number>;

/** The gradient of a function of one list of numbers, by central differences; errs by some 1e−9 of it. */
export function slopes(of: (x: readonly number[]) => number, x: Values): number[] {
  const at = Array.from(x), step = 1e-5;
  return at.map((value, i) =>
    (of(at.with(i, value + step)) - of(at.with(i, value - step))) / (2 * step)
  );
}

/** The sum of some numbers. */
export const total = (terms: readonly number[]): number =>
  terms.reduce((sum, term) => sum + term, 0);

/** Σ aᵢ·bᵢ. */
export const dot = (a: readonly number[], b: Values): number => total(a.map((x, i) => x * b[i]));

/** ln Σ eˣ. */
export function logSum(x: readonly number[]): number {
  const greatest = Math.max(...x);
  return greatest + Math.log(total(x.map((value) => Math.exp(value - greatest))));
}

/** eˣ / Σ eˣ. */
export function softmax(x: readonly number[]): number[] {
  const whole = logSum(x);
  return x.map((value) => Math.exp(value - whole));
}

/** Σ p·ln p. */
export const negativeEntropy = (shares: readonly number[]): number =>
  total(shares.map((share) => share === 0 ? 0 : share * Math.log(share)));

/** −ln(−ln u) of the numbers of `uniform` that gumbelNoise draws. */
export const gumbelOf = (units: Values): number[] =>
  Array.from(units, (unit) => -Math.log(-Math.log(unit)));

/** Sinkhorn's passes in float64: W. */
export function plainTransport(
  costs: readonly (readonly number[])[],
  a: Values,
  b: Values,
  epsilon: number,
  iterations: number,
): number {
  let f = Array.from(a, () => 0), g = Array.from(b, () => 0);
  for (let pass = 0; pass < iterations; pass++) {
    f = costs.map((row) =>
      -epsilon * logSum(row.map((cost, k) => Math.log(b[k]) + (g[k] - cost) / epsilon))
    );
    g = g.map((_, k) =>
      -epsilon * logSum(costs.map((row, n) => Math.log(a[n]) + (f[n] - row[k]) / epsilon))
    );
  }
  return dot(f, a) + dot(g, b);
}

/** Σ quantized·upstream + all losses: what the tests take gradients of. */
export function judged({ quantized, losses }: Quantized, upstream: Tensor): Tensor {
  return Object.values(losses).reduce(add, sum(mul(quantized, upstream)));
}

/** A parameter with some values. */
export function leaf(device: Device, values: Float32Array<ArrayBuffer>, shape: Shape): Tensor {
  return parameter(device.tensor(values, shape));
}
