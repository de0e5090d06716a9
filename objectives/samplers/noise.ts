/** The random noise of samples. */
import { normal } from "../../core/functions/creation.ts";
import { stack } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";

/** A range of samples that are drawn together. */
export interface SampleRange {
  /** The number of the first sample. */
  readonly first: number;
  /** How many samples. */
  readonly count: number;
}

/** Normally distributed numbers for some samples at a step. The numbers of sample i depend on the key, i and the step,
 * and not on the other samples of the range.
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
 * @param shape the shape of one sample
 * @param step the number of the step
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
