/** The contrastive loss of the clustered codebook (arXiv 2307.15139). */
import { detach } from "../core/execute.ts";
import {
  add,
  cast,
  div,
  equal,
  greater,
  less,
  log,
  maximum,
  mul,
  square,
  sub,
  where,
} from "../core/functions/elementwise.ts";
import { concatenate, reshape } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { kthValue, logsumexp, mean, sum } from "../core/functions/reductions.ts";
import type { Distance } from "../core/ops.ts";
import type { Tensor } from "../core/tensor.ts";
import { normalizeRows } from "./codebook_losses.ts";

/** The similarity of each code to each feature: `[K, D]`, `[N, D]` → `[K, N]`. It is the cosine, or −‖z − e‖². */
export function similarities(codebook: Tensor, features: Tensor, distance: Distance): Tensor {
  if (distance === "cos") {
    return matmul(normalizeRows(codebook), normalizeRows(features), { transposeB: true });
  }
  const products = mul(matmul(codebook, features, { transposeB: true }), 2);
  const codes = sum(square(codebook), -1, { keepAxes: true });
  return sub(sub(products, sum(square(features), -1)), codes);
}

/** Weights that select `count` elements per row: 1 on one side of the row's threshold. Elements equal to the threshold
 * share the remaining weight, so that each row sums to `count`. */
function selection(
  values: Tensor,
  threshold: Tensor,
  side: "above" | "below",
  count: number,
): Tensor {
  const beyond = cast((side === "above" ? greater : less)(values, threshold), "float32");
  const ties = cast(equal(values, threshold), "float32");
  const left = sub(count, sum(beyond, -1, { keepAxes: true }));
  const share = div(left, maximum(sum(ties, -1, { keepAxes: true }), 1));
  return add(beyond, mul(ties, share));
}

/** For each code, the positive is the mean of its top max(1, ⌊N/K⌋) similarities over the batch, and the negatives are
 * its lowest half. The loss is the cross-entropy at a temperature with the positive as the target, averaged over the
 * codes. As in the reference implementation, it moves only the codes: no gradient reaches the features.
 *
 * Elements that tie at the edge of a half share the weight, so the value does not depend on the sorting order. The K ×
 * N matrix of similarities is held in memory.
 * @param codebook float32 `[K, D]`
 * @param features float32 `[N, D]`
 * @returns a scalar
 */
export function contrastiveLoss(
  codebook: Tensor,
  features: Tensor,
  distance: Distance,
  temperature: number,
): Tensor {
  const [codes, count] = [codebook.shape[0], features.shape[0]];
  const positives = Math.max(1, Math.floor(count / codes));
  const negatives = Math.floor(count / 2);
  const all = similarities(codebook, detach(features), distance);
  const values = detach(all);
  const column = (x: Tensor) => reshape(x, [codes, 1]);

  const top = selection(values, column(kthValue(values, count - positives)), "above", positives);
  const positive = mul(
    sum(mul(all, top), -1, { keepAxes: true }),
    1 / (positives * temperature),
  );
  if (negatives === 0) return mean(sub(positive, positive));
  const low = selection(values, column(kthValue(values, negatives - 1)), "below", negatives);
  const weighted = add(mul(all, 1 / temperature), log(maximum(low, 1e-30)));
  const negative = logsumexp(where(greater(low, 0), weighted, -1e30), -1, { keepAxes: true });
  const logits = concatenate([positive, negative], 1);
  return mean(sub(logsumexp(logits, -1, { keepAxes: true }), positive));
}
