/** Indices of the codes of a grid. The digits of an index, least significant first, are the levels of the channels. The
 * codebook itself is never stored. */
import { add, cast, mul, sub } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { Device, Tensor } from "../core/tensor.ts";

/** The maximum number of codes in a grid. Up to this number, float32 divides indices exactly on every device. */
export const LARGEST_GRID: number = 2 ** 20;

/** The place value of each digit: 1, L₁, L₁·L₂, … (arXiv 2309.15505, App. A.1). */
function placeValues(levels: readonly number[]): number[] {
  return levels.map((_, place) => levels.slice(0, place).reduce((a, b) => a * b, 1));
}

/** One float32 value per channel, `[D]`. */
export function channelRow(device: Device, values: readonly number[]): Tensor {
  return device.tensor(Float32Array.from(values), [values.length]);
}

/** index = Σᵢ digitᵢ·∏_{j<i} Lⱼ.
 *
 * ```ts
 * import { digitsToIndices, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const digits = device.tensor([7, 4, 2], [1, 3]);
 * assert.equal(await digitsToIndices(digits, [8, 5, 5]).item(), 7 + 4 * 8 + 2 * 40);
 * ```
 * @param digits float32 `[..., D]`, whole numbers, digit i in [0, levels[i])
 * @returns int32 `[...]` in [0, ∏levels)
 */
export function digitsToIndices(digits: Tensor, levels: readonly number[]): Tensor {
  const values = channelRow(digits.device, placeValues(levels));
  return cast(sum(mul(digits, values), -1), "int32");
}

/** Splits indices into digits; the inverse of `digitsToIndices`.
 * @param indices int32 `[...]` in [0, ∏levels)
 * @returns float32 `[..., D]`, whole numbers
 */
export function indicesToDigits(indices: Tensor, levels: readonly number[]): Tensor {
  const { device, shape } = indices;
  const column = add(cast(reshape(indices, [...shape, 1]), "float32"), 0.5);
  const wholes = (divisors: readonly number[]) => {
    const quotients = mul(column, channelRow(device, divisors.map((divisor) => 1 / divisor)));
    return cast(cast(quotients, "int32"), "float32");
  };
  const places = placeValues(levels);
  const next = wholes(places.map((value, place) => value * levels[place]));
  return sub(wholes(places), mul(next, channelRow(device, levels)));
}
