/** Checks the indices for lookups in tables of vectors. */
import { showShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";

/** Rejects indices from the host for which a table has no vector.
 * @throws {RangeError} there is such an index
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
