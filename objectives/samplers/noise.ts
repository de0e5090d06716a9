/** The noise that samples are made of. */
import { normal } from "../../core/functions/creation.ts";
import { stack } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";

/** Which samples are drawn together. */
export interface SampleRange {
  /** The number of the first. */
  readonly first: number;
  /** How many there are. */
  readonly count: number;
}

/** Normal numbers for some samples at a step of their walk: those of sample i depend on the key, i and the step, and not
 * on which samples are drawn together.
 *
 * ```ts
 * import { openDevice, randomKey, sampleNoise } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "samples");
 * const both = await sampleNoise(device, { first: 6, count: 2 }, [3], key, 0).floats();
 * const one = await sampleNoise(device, { first: 7, count: 1 }, [3], key, 0).floats();
 * assert.deepEqual(both.slice(3), one);
 * ```
 * @param shape of one sample
 * @param step of the walk
 * @returns float32 `[count, ...shape]`
 */
export function sampleNoise(
  device: Device,
  { first, count }: SampleRange,
  shape: Shape,
  key: RandomKey,
  step: number,
): Tensor {
  using scope = device.scope();
  const own = partKey({ ...key, step }, key.step);
  const [one, ...others] = Array.from(
    { length: count },
    (_, index) => normal(device, shape, partKey(own, first + index)),
  );
  return scope.keep(stack([one, ...others]));
}
