/** What is broken in the folders of a study's runs. */
import type { StudyRun } from "./records.ts";
import { showRun } from "./plan.ts";
import type { RunTrace } from "./traces.ts";

/** A run, and why not all of it is shown. */
export interface Damage {
  /** The run. */
  readonly run: StudyRun;
  /** Which file is broken, and what it must be. */
  readonly reason: string;
}

/** Every broken file of a study's runs.
 * @param traceOf what a finished run left
 */
export function damagesOf(
  runs: readonly StudyRun[],
  traceOf: (run: StudyRun) => RunTrace,
): readonly Damage[] {
  return runs.flatMap((run) => {
    const reasons = run.state === "damaged"
      ? [run.failure ?? ""]
      : run.state === "finished"
      ? traceOf(run).damage
      : [];
    return reasons.map((reason) => ({ run, reason }));
  });
}

/** A broken file in words. */
export function showDamage({ run, reason }: Damage): string {
  return `${showRun(run)}: damaged: ${reason}`;
}
