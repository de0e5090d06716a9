/** How a gradient passes a quantiser, whose output does not change with its input. */
import { detach, straightThrough } from "../core/execute.ts";
import { add, div, maximum, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** `straight-through`: unchanged. `rotation`: turned and scaled as the code lies to the feature. */
export type GradientEstimator = "straight-through" | "rotation";

/** Their names. */
export const GRADIENT_ESTIMATORS = ["straight-through", "rotation"] as const;

/** The codes, exactly, with a gradient to the features that they took the place of.
 * @param features float32 `[..., D]`
 * @param codes float32 `[..., D]`; no gradient passes to them
 */
export function passGradient(
  features: Tensor,
  codes: Tensor,
  estimator: GradientEstimator,
): Tensor {
  return straightThrough(estimator === "rotation" ? rotate(features, codes) : features, codes);
}

/** λRz: each feature z turned and scaled onto its code e, where R and λ count as constants, so that the gradient's
 * angle to the code is passed on as its angle to the feature.
 *
 *     λ = ‖e‖/‖z‖    r = (ẑ + ê)/‖ẑ + ê‖    R = I − 2rrᵀ + 2êẑᵀ
 *
 * Source: arXiv 2410.06424, section 4.2. Lengths below 1e−6 count as 1e−6.
 *
 * ```ts
 * import { openDevice, rotate } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const [feature, code] = [device.tensor([2, 0], [1, 2]), device.tensor([0, 3], [1, 2])];
 * console.log(await rotate(feature, code).floats()); // 0, 3
 * ```
 * @param features float32 `[..., D]`
 * @param codes float32 `[..., D]`
 * @returns float32 `[..., D]`: the codes but for rounding
 */
export function rotate(features: Tensor, codes: Tensor): Tensor {
  const [z, e] = [detach(features), detach(codes)];
  const [zLength, eLength] = [lengths(z), lengths(e)];
  const [zUnit, eUnit] = [div(z, zLength), div(e, eLength)];
  const between = add(zUnit, eUnit);
  const r = div(between, lengths(between));
  const along = (direction: Tensor) => sum(mul(features, direction), -1, { keepAxes: true });
  const reflected = sub(features, mul(mul(r, 2), along(r)));
  const rotated = add(reflected, mul(mul(eUnit, 2), along(zUnit)));
  return mul(rotated, div(eLength, zLength));
}

/** `[..., D]` → `[..., 1]`. */
function lengths(x: Tensor): Tensor {
  return sqrt(maximum(sum(square(x), -1, { keepAxes: true }), 1e-12));
}
