/** Where the runs of a study are computed. */
import { RunFolder } from "../../training/run_folder.ts";
import { writeJudging } from "../judging.ts";
import type { PlannedRun } from "../plan.ts";
import type { Study } from "../study.ts";

/** What is left to compute of a study. */
export interface StudyWork {
  /** The study, checked. */
  readonly study: Study;
  /** The study's folder. */
  readonly out: string;
  /** The runs, at least one. */
  readonly runs: readonly PlannedRun[];
  /** Takes up what came of a run that has ended, and is waited for. */
  readonly onEnd: (run: PlannedRun) => Promise<void>;
}

/** Sees to it that runs are computed: here and now, or elsewhere and later. */
export interface Launcher {
  /** Launches runs.
   * @returns what is to be done next, a line each; nothing of runs that were waited for
   * @throws {Error} they cannot be launched, with what to do
   */
  launch(work: StudyWork): Promise<readonly string[]>;
  /** Refuses a study that it cannot launch; by default none.
   * @throws {RangeError} it cannot
   */
  check?(study: Study): void;
}

/** Writes the `config.json` of every run, and how it is judged, which is all that its process needs. */
export async function writeConfigs(
  runs: readonly Pick<PlannedRun, "config" | "judging">[],
): Promise<void> {
  for (const { config, judging } of runs) {
    await new RunFolder(config.out).writeConfig(config);
    if (judging !== undefined) await writeJudging(config.out, judging);
  }
}

/** Refuses a wrong number of runs at a time.
 * @throws {RangeError} it is not an integer of at least 1
 */
export function checkJobs(jobs: number): void {
  if (Number.isInteger(jobs) && jobs >= 1) return;
  throw new RangeError(`Cannot run a study: jobs must be an integer of at least 1, got ${jobs}`);
}
