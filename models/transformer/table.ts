/** Tables of vectors, and what is looked up in them. */
import { showShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";

/** Rejects numbers that the host wrote and that a table has no vector for.
 * @throws {RangeError} there is one
 */
export function checkTable(indices: Tensor, table: Tensor, what: "class" | "code"): void {
  const [count] = table.shape, [least, greatest] = indices.hostRange ?? [0, 0];
  if (least >= 0 && greatest < count) return;
  throw new RangeError(
    `Cannot run a transformer: a ${what} must be in [0, ${count}), got ${
      least < 0 ? least : greatest
    } in ${showShape(indices.shape)}`,
  );
}
