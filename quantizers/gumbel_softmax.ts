/** Functions for methods that sample codes from a softmax over all codes. */
import { add, exp, log, mul, neg, sub } from "../core/functions/elementwise.ts";
import { uniform } from "../core/functions/creation.ts";
import { logsumexp, sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { drawOwnRows, type Replicas, SINGLE } from "../nn/replicas.ts";

/** Standard Gumbel noise, −ln(−ln u), in the shape of the logits. The argmax of logits plus noise is a sample from
 * their softmax (the Gumbel-max trick). The noise is never infinite: u lies between 2⁻²⁴ and 1 − 2⁻²⁴.
 * @param replicas the processes that share the batch; each takes its own rows of the noise that one process would draw
 * for the whole batch
 * @returns float32
 */
export function gumbelNoise(
  { device, shape }: Tensor,
  key: RandomKey,
  replicas: Replicas = SINGLE,
): Tensor {
  const drawn = drawOwnRows(
    shape,
    replicas,
    (all) => uniform(device, all, key, 2 ** -24, 1 - 2 ** -24),
  );
  return neg(log(neg(log(drawn))));
}

/** KL(q ‖ uniform) = Σ_k q_k·ln(q_k·K) for each row, with q = softmax(logits).
 *
 * ```ts
 * import { openDevice, uniformDivergence } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const logits = device.tensor([0, 0, 100, 0], [2, 2]);
 * const [none, most] = await uniformDivergence(logits).floats();
 * assert.ok(Math.abs(none) < 1e-6 && Math.abs(most - Math.LN2) < 1e-6);
 * ```
 * @param logits float32 `[N, K]`
 * @returns float32 `[N]` in [0, ln K]
 */
export function uniformDivergence(logits: Tensor): Tensor {
  const logShares = sub(logits, logsumexp(logits, -1, { keepAxes: true }));
  return add(sum(mul(exp(logShares), logShares), -1), Math.log(logits.shape[1]));
}
