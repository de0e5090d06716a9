/** The progress of a study. */
import type { StudyEvent } from "../studies/launchers/local.ts";
import { type PlannedRun, showRun } from "../studies/plan.ts";
import type { Output } from "./output.ts";
import { showDuration } from "./progress.ts";

/** Shows a study's progress: one line when a run starts, ends an epoch, or ends. On a terminal it shows every line of
 * the run, each replacing the one before. */
export class StudyProgress {
  readonly #output: Output;
  readonly #runs: readonly PlannedRun[];
  readonly #started = new Map<string, number>();
  #drawn = false;

  /** Shows on an output.
   * @param runs all of the study
   */
  constructor(output: Output, runs: readonly PlannedRun[]) {
    this.#output = output;
    this.#runs = runs;
  }

  /** Shows an event. */
  hear({ kind, run, text }: StudyEvent): void {
    if (kind === "line") {
      this.#line(`${showRun(run)}: ${text}`);
      return;
    }
    this.clear();
    if (kind === "started") this.#started.set(run.hash, performance.now());
    const begun = this.#started.get(run.hash)!;
    const after = kind === "started"
      ? ""
      : ` after ${showDuration((performance.now() - begun) / 1000)}`;
    const place = this.#runs.findIndex(({ hash }) => hash === run.hash) + 1;
    const reason = text === "" ? "" : `: ${text}`;
    this.#output.say(
      `run ${place} of ${this.#runs.length}, ${showRun(run)}: ${kind}${after}${reason}`,
    );
  }

  /** Clears the temporary line, so that others can follow. */
  clear(): void {
    if (this.#drawn) this.#output.redraw("");
    this.#drawn = false;
  }

  #line(text: string): void {
    if (this.#output.isTerminal) {
      this.#output.redraw(text);
      this.#drawn = true;
    } else if (text.includes(" on the test images: ")) {
      this.#output.say(text);
    }
  }
}
