/** The interface of launchers, which compute the runs of a study. */
import { RunFolder } from "../../training/run_folder.ts";
import { writeJudging } from "../judging.ts";
import type { PlannedRun } from "../plan.ts";
import type { Study } from "../study.ts";

/** The remaining work of a study. */
export interface StudyWork {
  /** The validated study. */
  readonly study: Study;
  /** The study's folder. */
  readonly out: string;
  /** The runs, at least one. */
  readonly runs: readonly PlannedRun[];
  /** Records the result of a run that has ended; awaited by the launcher. */
  readonly onEnd: (run: PlannedRun) => Promise<void>;
}

/** Computes runs, or arranges for their computation elsewhere. */
export interface Launcher {
  /** Launches runs.
   * @returns the next things to do, one per line; empty for a launcher that waits for its runs
   * @throws {Error} the runs cannot be launched; the message says what to do
   */
  launch(work: StudyWork): Promise<readonly string[]>;
  /** Rejects a study that the launcher cannot launch; by default it accepts all.
   * @throws {RangeError} the launcher cannot launch the study
   */
  check?(study: Study): void;
}

/** Writes the `config.json` of every run and how it is evaluated, which is all that its process needs. */
export async function writeConfigs(
  runs: readonly Pick<PlannedRun, "config" | "judging">[],
): Promise<void> {
  for (const { config, judging } of runs) {
    await new RunFolder(config.out).writeConfig(config);
    if (judging !== undefined) await writeJudging(config.out, judging);
  }
}

/** Checks the number of runs at a time.
 * @throws {RangeError} it is not an integer of at least 1
 */
export function checkJobs(jobs: number): void {
  if (Number.isInteger(jobs) && jobs >= 1) return;
  throw new RangeError(`Cannot run a study: jobs must be an integer of at least 1, got ${jobs}`);
}
