/** The k-means++ initialisation. */
import { add, log, minimum, square, sub, where } from "../core/functions/elementwise.ts";
import { gather } from "../core/functions/indexing.ts";
import { concatenate, reshape } from "../core/functions/movement.ts";
import { argmax, sum } from "../core/functions/reductions.ts";
import type { Distance } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { gumbelNoise } from "./gumbel_softmax.ts";
import { usableRows } from "./finite_features.ts";
import { randomRows } from "./replacement.ts";
import { normalizeRows } from "./codebook_losses.ts";

/** Draws K rows by k-means++ (Arthur and Vassilvitskii 2007). The first is drawn uniformly. Each further row is drawn
 * with probability proportional to its squared distance from the nearest row drawn before. Runs on the device and reads
 * nothing back; takes K sequential passes over the rows.
 * @param given the rows, float32 `[N, D]`; rows that are not finite are excluded
 * @param count K
 * @param distance `cos` compares rows scaled to length 1
 * @param mask int32 `[N]`: 0 excludes a row
 * @returns float32 `[K, D]`
 */
export function kmeansPlusPlus(
  given: Tensor,
  count: number,
  distance: Distance,
  key: RandomKey,
  mask?: Tensor,
): Tensor {
  const { device } = given;
  using scope = device.scope();
  const { rows, present } = usableRows(given, mask);
  const compared = distance === "cos" ? normalizeRows(rows) : rows;
  const distanceFrom = (row: Tensor) => {
    const place = distance === "cos" ? normalizeRows(row) : row;
    return where(present, sum(square(sub(compared, place)), -1), 0);
  };
  const first = randomRows(given, 1, partKey(key, 0), mask);
  const drawn: [Tensor, ...Tensor[]] = [first];
  let squared = distanceFrom(first);
  for (let k = 1; k < count; k++) {
    using once = device.scope();
    // The argmax of ln d² plus Gumbel noise is a draw with probabilities proportional to d²; ln 0 never wins.
    const noise = gumbelNoise(squared, partKey(key, k));
    const row = once.keep(gather(rows, reshape(argmax(add(log(squared), noise)), [1])));
    drawn.push(row);
    const next = once.keep(minimum(squared, distanceFrom(row)));
    squared.dispose();
    squared = next;
  }
  return scope.keep(concatenate(drawn));
}
