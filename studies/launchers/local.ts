/** Runs a study as processes on this machine. */
import { availableParallelism } from "node:os";
import { flagsBesideFile } from "../../training/origins.ts";
import type { PlannedRun } from "../plan.ts";
import { trainToRecord } from "../run_process.ts";
import { checkJobs, type Launcher, type StudyWork, writeConfigs } from "./launcher.ts";

/** An event of a run. */
export interface StudyEvent {
  /** The kind of event: the run started or continues, printed a line, or ended. */
  readonly kind: "started" | "line" | "finished" | "stopped" | "failed";
  /** The run. */
  readonly run: PlannedRun;
  /** The line, or the reason of a failure. */
  readonly text: string;
}

/** Options of `LocalLauncher`. */
export interface LocalOptions {
  /** Runs at a time, 1 by default; they share the threads of the device `cpu`. */
  readonly jobs?: number;
  /** Stops the runs, each with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Called with each event. */
  readonly onEvent?: (event: StudyEvent) => void;
}

/** Computes several runs at a time, each in a separate process, and waits for all.
 *
 * ```ts
 * import { launchStudy, LocalLauncher } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const out = await Deno.makeTempDir();
 * const study = { name: "wrong", axes: [{ path: "model.hiden", values: [8] }] };
 * const launcher = new LocalLauncher({ jobs: 2 });
 * await assert.rejects(launchStudy(study, launcher, { out }), /did you mean model.hidden/);
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export class LocalLauncher implements Launcher {
  readonly #options: Required<LocalOptions>;

  /** Creates the launcher.
   * @throws {RangeError} jobs is not an integer of at least 1
   */
  constructor(
    { jobs = 1, signal = new AbortController().signal, onEvent = () => {} }: LocalOptions = {},
  ) {
    checkJobs(jobs);
    this.#options = { jobs, signal, onEvent };
  }

  /** Computes runs until all have ended or the signal stops them. An error of one run does not stop the others.
   * @throws {Error} a run could not be started, or its result could not be recorded; thrown after all have ended
   */
  async launch({ runs, onEnd }: StudyWork): Promise<readonly string[]> {
    const left = runs.values(), failures: unknown[] = [];
    const work = async () => {
      for (const run of left) { // All workers take from one queue.
        if (this.#options.signal.aborted) return;
        try {
          await this.#carryOut(run);
          await onEnd(run);
        } catch (cause) {
          failures.push(cause);
        }
      }
    };
    await Promise.all(Array.from({ length: this.#options.jobs }, work));
    if (failures.length > 0) throw failures[0];
    return [];
  }

  /** Computes one run until it ends. */
  async #carryOut(run: PlannedRun): Promise<void> {
    const { jobs, signal, onEvent } = this.#options;
    const { out, cpu } = run.config;
    const threads = cpu.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs));
    await writeConfigs([{ ...run, config: { ...run.config, cpu: { ...cpu, threads } } }]);
    onEvent({ kind: "started", run, text: "" });
    const end = await trainToRecord(out, {
      signal,
      onLine: (text) => onEvent({ kind: "line", run, text }),
      flags: flagsBesideFile(run.config),
    });
    onEvent({ kind: end.kind, run, text: end.kind === "failed" ? end.reason : "" });
  }
}
