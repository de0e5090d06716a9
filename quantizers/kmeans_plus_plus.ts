/** Rows far from each other, for k-means to start from. */
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

/** K rows, each drawn with a probability that is proportional to its squared distance from the nearest one drawn before
 * (k-means++, Arthur and Vassilvitskii 2007); the first uniformly. On the device, nothing read back; K passes over the
 * rows, one after another.
 * @param given the rows, float32 `[N, D]`; those that are not finite are left out
 * @param count K
 * @param distance `cos` compares the rows at length 1
 * @param mask int32 `[N]`: 0 leaves a row out
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
    // The greatest of ln d² with Gumbel noise is a draw with shares of d²; ln 0 is never the greatest.
    const noise = gumbelNoise(squared, partKey(key, k));
    const row = once.keep(gather(rows, reshape(argmax(add(log(squared), noise)), [1])));
    drawn.push(row);
    const next = once.keep(minimum(squared, distanceFrom(row)));
    squared.dispose();
    squared = next;
  }
  return scope.keep(concatenate(drawn));
}
