/** Gradient estimators: how the gradient gets past a quantiser, whose own gradient is zero almost everywhere. */
import { detach, straightThrough } from "../core/execute.ts";
import { add, div, maximum, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Tensor } from "../core/tensor.ts";

/** `straight-through` passes the gradient on unchanged. `rotation` rotates and scales it as the feature is rotated and
 * scaled onto its code. */
export type GradientEstimator = "straight-through" | "rotation";

/** The names of the gradient estimators. */
export const GRADIENT_ESTIMATORS = ["straight-through", "rotation"] as const;

/** Returns the codes exactly, and passes the gradient to the features that they replace.
 * @param features float32 `[..., D]`
 * @param codes float32 `[..., D]`; they receive no gradient
 */
export function passGradient(
  features: Tensor,
  codes: Tensor,
  estimator: GradientEstimator,
): Tensor {
  return straightThrough(estimator === "rotation" ? rotate(features, codes) : features, codes);
}

/** λRz: each feature z rotated and scaled onto its code e. R and λ are treated as constants. So the angle between
 * gradient and code becomes the angle between gradient and feature.
 *
 *     λ = ‖e‖/‖z‖    r = (ẑ + ê)/‖ẑ + ê‖    R = I − 2rrᵀ + 2êẑᵀ
 *
 * Source: arXiv 2410.06424, section 4.2. Lengths below 1e−6 are set to 1e−6.
 *
 * ```ts
 * import { openDevice, rotate } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const [feature, code] = [device.tensor([2, 0], [1, 2]), device.tensor([0, 3], [1, 2])];
 * console.log(await rotate(feature, code).floats()); // 0, 3
 * ```
 * @param features float32 `[..., D]`
 * @param codes float32 `[..., D]`
 * @returns float32 `[..., D]`: the codes, up to rounding
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
