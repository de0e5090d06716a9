/** A check that indices are in range. */
import type { Tensor } from "../core/tensor.ts";

/** Rejects indices that are out of range. Checks only tensors whose range the host knows without waiting for the device
 * (`Tensor.hostRange`); indices that the device computed are always in range.
 * @param indices int32: in [0, K), or −1 for padding
 * @throws {RangeError} an index is out of range
 */
export function checkIndices(indices: Tensor, codebookSize: number): void {
  const range = indices.hostRange;
  if (range === undefined) return;
  const [least, greatest] = range;
  if (least >= -1 && greatest < codebookSize) return;
  throw new RangeError(
    `Cannot look up codes: every index must be in [0, ${codebookSize}), or −1 for padding, got ${
      least < -1 ? least : greatest
    }`,
  );
}
