/** The noise schedule of a diffusion: the strength of the noise at each timestep. */

/** The kinds of schedule: β linear in time (arXiv 2006.11239), √β linear in time (arXiv 2112.10752), or ᾱ along a cosine
 * (arXiv 2102.09672). */
export const SCHEDULES = ["linear", "sqrt-linear", "cosine"] as const;

/** The name of a schedule. */
export type ScheduleName = typeof SCHEDULES[number];

/** Options of the constructor. */
export interface NoiseScheduleOptions {
  /** The kind of schedule. */
  readonly type: ScheduleName;
  /** T: the number of timesteps. */
  readonly times: number;
  /** The first β; by default 1e−4 (linear) or 0.0015 (sqrt-linear). Not allowed for cosine. */
  readonly first?: number;
  /** The last β; by default 0.02 (linear) or 0.0195 (sqrt-linear). Not allowed for cosine. */
  readonly last?: number;
}

/** The noise at a timestep: x_t = α·x₀ + σ·ε, α² + σ² = 1. */
export interface NoiseLevel {
  /** The timestep; −1 without noise. */
  readonly time: number;
  /** √ᾱ_t: the factor of the image. */
  readonly alpha: number;
  /** √(1 − ᾱ_t): the standard deviation of the noise. */
  readonly sigma: number;
}

/** The first and the last β of the linear schedules; the defaults are those of their papers. */
const ENDS = { "linear": [1e-4, 0.02], "sqrt-linear": [0.0015, 0.0195] } as const;

/** Ensures that the first β of the cosine is not 0. */
const COSINE_SHIFT = 0.008;

/** The largest β of the cosine. */
const GREATEST_BETA = 0.999;

/** The noise at every timestep: ᾱ_t = Π (1 − β_s), s ≤ t. The products are computed in float64.
 *
 * ```ts
 * import { NoiseSchedule } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const schedule = new NoiseSchedule({ type: "linear", times: 1000 });
 * const { alpha, sigma } = schedule.level(999);
 * assert.ok(alpha < 0.01 && sigma > 0.99);
 * assert.deepEqual(schedule.level(-1), { time: -1, alpha: 1, sigma: 0 });
 * ```
 */
export class NoiseSchedule {
  /** T: the number of timesteps. */
  readonly times: number;
  /** β_t, for each timestep. */
  readonly betas: Float64Array;
  readonly #levels: readonly NoiseLevel[];

  /** Computes the noise at every timestep.
   * @throws {RangeError} there is no timestep, or the βs do not lie in (0, 1)
   */
  constructor({ type, times, first, last }: NoiseScheduleOptions) {
    if (!Number.isInteger(times) || times < 1) {
      throw new RangeError(
        `Cannot make a noise schedule: the times must be a positive integer, got ${times}`,
      );
    }
    this.times = times;
    if (type === "cosine") {
      if (first !== undefined || last !== undefined) {
        throw new RangeError(
          `Cannot make a noise schedule: the cosine must have no first and last β, got ${
            first ?? last
          }`,
        );
      }
      this.betas = cosineBetas(times);
    } else {
      const [start, end] = ENDS[type];
      this.betas = betasBetween(type, times, first ?? start, last ?? end);
    }
    let product = 1;
    this.#levels = Array.from(this.betas, (beta, time) => {
      product *= 1 - beta;
      return { time, alpha: Math.sqrt(product), sigma: Math.sqrt(1 - product) };
    });
  }

  /** The noise at a timestep in [0, T); no noise at −1. */
  level(time: number): NoiseLevel {
    return time < 0 ? { time: -1, alpha: 1, sigma: 0 } : this.#levels[time];
  }

  /** The timesteps of S denoising steps from noise to an image, the latest first: round(T·(S − i)/S) − 1 for each step i
   * (arXiv 2305.08891, "trailing"). With S = T these are all timesteps.
   *
   * ```ts
   * import { NoiseSchedule } from "@codebook/codebook";
   * import assert from "node:assert/strict";
   * const schedule = new NoiseSchedule({ type: "linear", times: 1000 });
   * assert.deepEqual(schedule.walk(4), [999, 749, 499, 249]);
   * ```
   * @throws {RangeError} the number of steps is not a whole number from 1 to T
   */
  walk(steps: number): readonly number[] {
    if (!Number.isInteger(steps) || steps < 1 || steps > this.times) {
      throw new RangeError(
        `Cannot sample: the steps must be a whole number from 1 to ${this.times}, the times of the diffusion, got ${steps}`,
      );
    }
    return Array.from(
      { length: steps },
      (_, step) => Math.round(this.times * (steps - step) / steps) - 1,
    );
  }
}

function betasBetween(
  type: keyof typeof ENDS,
  times: number,
  first: number,
  last: number,
): Float64Array {
  for (const beta of [first, last]) {
    if (beta > 0 && beta < 1) continue;
    throw new RangeError(
      `Cannot make a noise schedule: the first and the last β must lie in (0, 1), got ${beta}`,
    );
  }
  const [start, end] = type === "linear" ? [first, last] : [Math.sqrt(first), Math.sqrt(last)];
  return Float64Array.from({ length: times }, (_, time) => {
    const value = start + (end - start) * time / Math.max(times - 1, 1);
    return type === "linear" ? value : value ** 2;
  });
}

/** β_t = min(1 − ᾱ_{t+1}/ᾱ_t, 0.999), ᾱ_t ∝ cos²((t/T + s)/(1 + s)·π/2). */
function cosineBetas(times: number): Float64Array {
  const remaining = (time: number) =>
    Math.cos((time / times + COSINE_SHIFT) / (1 + COSINE_SHIFT) * Math.PI / 2) ** 2;
  return Float64Array.from(
    { length: times },
    (_, time) => Math.min(1 - remaining(time + 1) / remaining(time), GREATEST_BETA),
  );
}
