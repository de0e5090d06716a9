/** Damaged files in the folders of a study's runs. */
import type { StudyRun } from "./records.ts";
import { showRun } from "./plan.ts";
import type { RunTrace } from "./traces.ts";

/** A run with a damaged file. */
export interface Damage {
  /** The run. */
  readonly run: StudyRun;
  /** Which file is damaged, and what it must be. */
  readonly reason: string;
}

/** All damaged files of a study's runs.
 * @param traceOf gives the trace of a finished run
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

/** Describes a damaged file in words. */
export function showDamage({ run, reason }: Damage): string {
  return `${showRun(run)}: damaged: ${reason}`;
}
