/** Learning-rate schedules: factors that multiply the base rate. */

/** The factor at a step, counted from 0. */
export type Schedule = (step: number) => number;

/** 1 at every step. */
export const constantSchedule: Schedule = (): number => 1;

/** Falls from 1 to `floor` along half a cosine over `steps` steps (arXiv 1608.03983), then stays at `floor`.
 *
 * ```ts
 * import { cosineSchedule } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * assert.equal(cosineSchedule(100)(0), 1);
 * assert.ok(Math.abs(cosineSchedule(100)(50) - 0.5) < 1e-12);
 * ```
 * @throws {RangeError} `steps` is not positive
 */
export function cosineSchedule(steps: number, floor = 0): Schedule {
  checkSteps(steps);
  return (step) => floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, step / steps)));
}

/** Falls linearly from 1 to `floor` over `steps` steps, then stays at `floor`.
 * @throws {RangeError} `steps` is not positive
 */
export function linearSchedule(steps: number, floor = 0): Schedule {
  checkSteps(steps);
  return (step) => floor + (1 - floor) * (1 - Math.min(1, step / steps));
}

/** Rises linearly to the inner schedule's initial factor over the first `steps` steps (0: no warm-up). The inner
 * schedule starts after that. */
export function withWarmup(steps: number, inner: Schedule): Schedule {
  return (step) => step < steps ? (step + 1) / (steps + 1) * inner(0) : inner(step - steps);
}

function checkSteps(steps: number): void {
  if (!(steps > 0)) {
    throw new RangeError(`Cannot make a schedule: the steps must be positive, got ${steps}`);
  }
}
