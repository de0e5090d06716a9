/** Learning-rate schedules. */
import assert from "node:assert/strict";
import {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  type Schedule,
  withWarmup,
} from "../../nn/schedules.ts";
import { assertClose, FLOAT64 } from "../tolerances.ts";

const at = (schedule: Schedule, steps: readonly number[]): number[] => steps.map(schedule);

Deno.test("a constant schedule is 1 at every step", () => {
  assert.deepEqual(at(constantSchedule, [0, 1, 1e9]), [1, 1, 1]);
});

Deno.test("a cosine schedule falls along half a cosine to its floor", () => {
  assertClose(at(cosineSchedule(8), [0, 2, 4, 8]), [1, (1 + Math.SQRT1_2) / 2, 0.5, 0], 1e-7, "0");
  assertClose(at(cosineSchedule(8, 0.2), [0, 4, 8, 9, 1e6]), [1, 0.6, 0.2, 0.2, 0.2], 1e-7, "0.2");
});

Deno.test("a linear schedule falls linearly to its floor", () => {
  assertClose(at(linearSchedule(4), [0, 1, 2, 3, 4, 5]), [1, 0.75, 0.5, 0.25, 0, 0], FLOAT64, "0");
  assertClose(at(linearSchedule(4, 0.5), [0, 2, 4, 9]), [1, 0.75, 0.5, 0.5], FLOAT64, "0.5");
});

Deno.test("schedules fall at every step, and never below their floor", () => {
  for (const schedule of [cosineSchedule(100, 0.1), linearSchedule(100, 0.1)]) {
    for (let step = 0; step < 100; step++) {
      assert.ok(schedule(step + 1) < schedule(step), `step ${step}`);
      assert.ok(schedule(step) >= 0.1);
    }
    assert.equal(schedule(100), 0.1);
  }
});

Deno.test("a warm-up rises to the start of its schedule", () => {
  const schedule = withWarmup(3, linearSchedule(4));
  assertClose(at(schedule, [0, 1, 2, 3, 4, 7]), [0.25, 0.5, 0.75, 1, 0.75, 0], FLOAT64, "of 3");
  assertClose(at(withWarmup(0, linearSchedule(4)), [0, 1]), [1, 0.75], FLOAT64, "of none");
  assertClose(at(withWarmup(1, () => 0.5), [0, 1]), [0.25, 0.5], FLOAT64, "to less than 1");
});

Deno.test("a schedule without steps is rejected", () => {
  const refused = (steps: number) => ({
    name: "RangeError",
    message: `Cannot make a schedule: the steps must be positive, got ${steps}`,
  });
  for (const steps of [0, -1, NaN]) {
    assert.throws(() => cosineSchedule(steps), refused(steps));
    assert.throws(() => linearSchedule(steps), refused(steps));
  }
});
