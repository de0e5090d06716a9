/** Which indices are those of codes. */
import type { Tensor } from "../core/tensor.ts";

/** Refuses indices that are no code's, where they came from the host: there it is known without waiting for the device
 * (`Tensor.hostRange`). Indices that were computed are those of codes.
 * @param indices int32: in [0, K), or −1 for padding
 * @throws {RangeError} one is not
 */
export function checkIndices(indices: Tensor, codebookSize: number): void {
  const range = indices.hostRange;
  if (range === undefined) return;
  const [least, greatest] = range;
  if (least >= -1 && greatest < codebookSize) return;
  throw new RangeError(
    `Cannot look codes up: every index must be in [0, ${codebookSize}), or −1 for padding, got ${
      least < -1 ? least : greatest
    }`,
  );
}
