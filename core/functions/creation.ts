/** New tensors: constants and random numbers. */
import { execute } from "../execute.ts";
import type { RandomKey } from "../random.ts";
import type { DType, Shape } from "../shape.ts";
import type { Device, Tensor } from "../tensor.ts";

/** A tensor filled with one value.
 * @throws {RangeError} an axis is not a positive integer
 */
export function full(
  device: Device,
  shape: Shape,
  value: number,
  dtype: DType = "float32",
): Tensor {
  return execute(device, "full", [], { shape, value, dtype })[0];
}

/** A tensor of zeros. */
export function zeros(device: Device, shape: Shape, dtype: DType = "float32"): Tensor {
  return full(device, shape, 0, dtype);
}

/** A tensor of ones. */
export function ones(device: Device, shape: Shape, dtype: DType = "float32"): Tensor {
  return full(device, shape, 1, dtype);
}

/** Uniform numbers in [low, high], float32, the same on every device (Philox4x32-10).
 *
 * ```ts
 * import { openDevice, randomKey, uniform } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const noise = uniform(device, [4, 2], randomKey(42, "noise"), -1, 1);
 * console.log(await noise.floats());
 * ```
 */
export function uniform(
  device: Device,
  shape: Shape,
  key: RandomKey,
  low = 0,
  high = 1,
): Tensor {
  return execute(device, "uniform", [], { shape, key, low, high })[0];
}

/** Normal numbers, float32, the same on every device up to rounding (Philox4x32-10 and Box–Muller). */
export function normal(
  device: Device,
  shape: Shape,
  key: RandomKey,
  mean = 0,
  deviation = 1,
): Tensor {
  return execute(device, "normal", [], { shape, key, mean, deviation })[0];
}

/** A random permutation of 0 … length − 1, int32 `[length]`, with the values of `permutation`. */
export function randomPermutation(device: Device, length: number, key: RandomKey): Tensor {
  return execute(device, "permutation", [], { length, key })[0];
}
