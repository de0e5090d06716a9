/** Sampling from noise to images, with any sampler. */
import { withoutGradients } from "../../core/execute.ts";
import { clamp, mul, sub } from "../../core/functions/elementwise.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { denoise, type Denoised, type Prediction } from "../diffusion/prediction.ts";
import type { NoiseLevel, NoiseSchedule } from "../diffusion/schedule.ts";
import type { Predict } from "./guidance.ts";
import { sampleNoise, type SampleRange } from "./noise.ts";
import type { Sampler } from "./sampler.ts";

/** Options of `sample`. */
export interface SampleOptions extends SampleRange {
  /** The shape of one sample. */
  readonly shape: Shape;
  /** The key of the noise. */
  readonly key: RandomKey;
  /** The number of denoising steps; at most the number of the schedule's timesteps. */
  readonly steps: number;
  /** The noise schedule: the strength of the noise at each timestep. */
  readonly schedule: NoiseSchedule;
  /** What the network predicts. */
  readonly prediction: Prediction;
  /** The network. */
  readonly predict: Predict;
  /** The sampler, which makes the steps. */
  readonly sampler: Sampler;
  /** Clips the predicted images to [−1, 1]. Not for latents, which have no such range. */
  readonly clip?: boolean;
  /** Called after each step with the number of steps made and the predicted image; the image is recycled afterwards. */
  readonly onStep?: (taken: number, original: Tensor) => Promise<void> | void;
}

/** Draws samples.
 *
 * ```ts
 * import { DdimSampler, NoiseSchedule, openDevice, randomKey, sample, zeros } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const drawn = await sample(device, {
 *   ...{ first: 0, count: 2, shape: [3], key: randomKey(1, "samples"), steps: 5 },
 *   schedule: new NoiseSchedule({ type: "cosine", times: 100 }),
 *   prediction: "x0",
 *   predict: (x) => zeros(device, x.shape),
 *   sampler: new DdimSampler(0),
 * });
 * assert.deepEqual([...await drawn.floats()], [0, 0, 0, 0, 0, 0]);
 * ```
 * @returns float32 `[count, ...shape]`
 * @throws {RangeError} the number of steps is not a whole number from 1 to the number of the schedule's timesteps
 */
export async function sample(device: Device, options: SampleOptions): Promise<Tensor> {
  const { shape, key, steps, schedule, predict, sampler, onStep } = options;
  const times = schedule.walk(steps);
  const draw = (step: number) => sampleNoise(device, options, shape, key, step);
  using all = device.scope();
  let x = draw(0);
  let before: { from: NoiseLevel; original: Tensor } | undefined;
  for (const [taken, time] of times.entries()) {
    using scope = device.scope();
    const from = schedule.level(time), to = schedule.level(times[taken + 1] ?? -1);
    const [denoised, next] = withoutGradients(() => {
      const denoised = seen(predict(x, time), x, from, options);
      const step = { x, denoised, from, to, before, random: () => draw(taken + 1) };
      return [denoised, sampler.step(step)] as const;
    });
    const original = scope.keep(denoised.original);
    if (next !== original) scope.keep(next);
    await onStep?.(taken + 1, original);
    await device.synchronize();
    if (next !== x) x.dispose();
    if (before !== undefined && before.original !== original) before.original.dispose();
    x = next;
    before = { from, original };
  }
  return all.keep(x);
}

/** The image and the noise predicted by the network. If the image is clipped, the noise is recomputed to fit it. */
function seen(
  output: Tensor,
  x: Tensor,
  from: NoiseLevel,
  { prediction, clip = false }: SampleOptions,
): Denoised {
  const denoised = denoise(prediction, output, x, from);
  if (!clip) return denoised;
  const original = clamp(denoised.original, -1, 1);
  return { original, noise: mul(sub(x, mul(original, from.alpha)), 1 / from.sigma) };
}
