/** The orthogonality loss between codes. */
import { mul, square, sub } from "../core/functions/elementwise.ts";
import { matmul } from "../core/functions/products.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";
import { normalizeRows } from "./codebook_losses.ts";

/** ‖ĈĈᵀ − I‖²/K²: the mean squared cosine between different codes. Ĉ are the codes scaled to length 1.
 *
 * Source: arXiv 2112.00384, equation 2, divided by K². Since ‖ĈĈᵀ‖ = ‖ĈᵀĈ‖, it is computed as ‖ĈᵀĈ‖²/K² − 1/K. This
 * takes K·D² multiplications and a D × D matrix, never K × K. Codes of length 0 count as having a cosine of 0 with
 * themselves.
 *
 * ```ts
 * import { openDevice, orthogonalityLoss } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * console.log(await orthogonalityLoss(device.tensor([1, 0, 0, 2], [2, 2])).item()); // 0
 * console.log(await orthogonalityLoss(device.tensor([1, 0, 2, 0], [2, 2])).item()); // 0.5
 * ```
 * @param codes float32 `[K, D]`
 * @returns a scalar, at least 1/D − 1/K
 */
export function orthogonalityLoss(codes: Tensor): Tensor {
  const [size] = codes.shape;
  const directions = normalizeRows(codes);
  const gram = matmul(directions, directions, { transposeA: true });
  return sub(mul(sum(square(gram)), 1 / size ** 2), 1 / size);
}
