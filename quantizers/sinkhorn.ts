/** Entropic optimal transport by Sinkhorn's algorithm in the log domain, on the device. */
import { straightThrough, withoutGradients } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { add, div, exp, log, mul, neg } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { logsumexp, sum } from "../core/functions/reductions.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";

/** Options of `transportCost`. */
export interface TransportOptions {
  /** a: float32 `[N]`, the mass of each row; sums to 1. */
  readonly rowShares: Tensor;
  /** b: float32 `[K]`, the mass of each column; sums to 1. */
  readonly columnShares: Tensor;
  /** ε: a scalar, in the unit of the costs. A smaller ε is closer to exact transport but converges more slowly. */
  readonly epsilon: Tensor;
  /** The number of Sinkhorn iterations, each a pass over rows and columns. */
  readonly iterations: number;
}

/** The minimal cost of moving mass between two sets, with entropic regularisation:
 *
 *     W = min over P with row sums a and column sums b of Σ P·C + ε·KL(P ‖ a⊗b)
 *
 * Source: arXiv 1306.0895 and, for the potentials f and g, arXiv 1803.00567 section 4.4:
 *
 *     f_n ← −ε·ln Σ_k b_k·exp((g_k − C_nk)/ε)    g_k ← −ε·ln Σ_n a_n·exp((f_n − C_nk)/ε)
 *     W = Σ a·f + Σ b·g    P_nk = a_n·b_k·exp((f_n + g_k − C_nk)/ε)
 *
 * After every pass the column sums are exact, and W is a lower bound that rises to the minimum. The gradient is that of
 * the minimum (the envelope theorem): P for the costs and g for b. There is none for a, and none through the passes.
 * Each pass reads the N × K matrix twice and holds two copies of it.
 *
 * ```ts
 * import { full, openDevice, transportCost } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const half = full(device, [2], 0.5);
 * const cost = transportCost(device.tensor([1, 3, 2, 1], [2, 2]), {
 *   rowShares: half,
 *   columnShares: half,
 *   epsilon: full(device, [], 0.05),
 *   iterations: 50,
 * });
 * assert.ok(Math.abs(await cost.item() - 1) < 0.05); // each stays in its place
 * ```
 * @param costs C, float32 `[N, K]`
 * @returns W, a scalar
 * @throws {TypeError} the shapes do not match
 */
export function transportCost(costs: Tensor, options: TransportOptions): Tensor {
  const { rowShares, columnShares } = options;
  if (!sameShape(costs.shape, [rowShares.size, columnShares.size])) {
    throw new TypeError(
      `Cannot compute a transport: the costs must be [rows, columns], ${
        showShape([rowShares.size, columnShares.size])
      }, got ${showShape(costs.shape)}`,
    );
  }
  const { least, plan, columnPotentials } = withoutGradients(() => solve(costs, options));
  const linear = add(sum(mul(costs, plan)), sum(mul(columnShares, columnPotentials)));
  return straightThrough(linear, least);
}

interface Solution {
  /** W. */
  readonly least: Tensor;
  /** P, `[N, K]`. */
  readonly plan: Tensor;
  /** g, `[K]`. */
  readonly columnPotentials: Tensor;
}

function solve(
  costs: Tensor,
  { rowShares, columnShares, epsilon, iterations }: TransportOptions,
): Solution {
  const { device, shape: [rows, columns] } = costs;
  using whole = device.scope();
  const affinities = neg(div(costs, epsilon));
  const [logRows, logColumns] = [log(reshape(rowShares, [rows, 1])), log(columnShares)];
  let f = zeros(device, [rows, 1]), g = zeros(device, [columns]); // In units of ε.
  for (let pass = 0; pass < iterations; pass++) {
    using once = device.scope();
    const byRow = add(affinities, add(g, logColumns));
    f = once.keep(neg(logsumexp(byRow, -1, { keepAxes: true })));
    const byColumn = add(affinities, add(f, logRows));
    g = once.keep(neg(logsumexp(byColumn, 0)));
  }
  const plan = exp(add(add(affinities, add(f, logRows)), add(g, logColumns)));
  const mean = add(sum(mul(rowShares, reshape(f, [rows]))), sum(mul(columnShares, g)));
  return {
    least: whole.keep(mul(mean, epsilon)),
    plan: whole.keep(plan),
    columnPotentials: whole.keep(mul(g, epsilon)),
  };
}
