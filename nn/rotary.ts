/** Rotary position embeddings: queries and keys are rotated by their positions, so that their products depend on their
 * distance. */
import { add, mul } from "../core/functions/elementwise.ts";
import { matmul } from "../core/functions/products.ts";
import type { Device, Tensor } from "../core/tensor.ts";

/** The base of the frequencies (arXiv 2104.09864, 3.2.2). */
const BASE = 10_000;

/** The rotations of some positions, for one head width. */
export interface Rotation {
  /** float32 `[S, 1, D]`: the cosines of each position's angles. */
  readonly cosines: Tensor;
  /** float32 `[S, 1, D]`: the sines. */
  readonly sines: Tensor;
  /** float32 `[D, D]`: rotates every pair of neighbouring elements by a right angle. */
  readonly quarter: Tensor;
}

/** The rotations of two-dimensional positions: the row rotates half of the elements, the column the other half.
 *
 * Source: arXiv 2104.09864 in two dimensions, as in arXiv 2403.13298 ("axial"). Elements 2i and 2i + 1 of a half of D/2
 * elements rotate together, by the angle position·10000^(−4i/D).
 *
 * ```ts
 * import { openDevice, rotateByPosition, rotationOf } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const rotation = rotationOf(device, [[0, 0]], 4);
 * const x = device.tensor([1, 2, 3, 4], [1, 1, 1, 4]);
 * assert.deepEqual([...await rotateByPosition(x, rotation).floats()], [1, 2, 3, 4]); // no rotation at the origin
 * ```
 * @param positions the row and column of each position
 * @param width D: the width of a head, divisible by 4
 * @throws {RangeError} the width is not divisible by 4
 */
export function rotationOf(
  device: Device,
  positions: readonly (readonly [row: number, column: number])[],
  width: number,
): Rotation {
  if (width % 4 !== 0) {
    throw new RangeError(
      `Cannot make rotary positions: the width of a head must be divisible by 4, got ${width}`,
    );
  }
  const half = width / 2;
  const angles = positions.flatMap((position) =>
    Array.from({ length: width }, (_, element) => {
      const pair = Math.floor(element % half / 2);
      return position[element < half ? 0 : 1] * BASE ** (-4 * pair / width);
    })
  );
  const table = (of: (angle: number) => number) =>
    device.tensor(Float32Array.from(angles, of), [positions.length, 1, width]);
  const quarter = new Float32Array(width * width);
  for (let even = 0; even < width; even += 2) {
    quarter[(even + 1) * width + even] = -1;
    quarter[even * width + even + 1] = 1;
  }
  return {
    cosines: table(Math.cos),
    sines: table(Math.sin),
    quarter: device.tensor(quarter, [width, width]),
  };
}

/** Rotates queries or keys: float32 `[B, S, H, D]` → the same shape. */
export function rotateByPosition(x: Tensor, { cosines, sines, quarter }: Rotation): Tensor {
  return add(mul(x, cosines), mul(matmul(x, quarter), sines));
}
