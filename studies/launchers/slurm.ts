/** Runs a study as Slurm job arrays. */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeAtomically } from "../../files/atomic_write.ts";
import { checkRanks } from "../../training/distributed/check_ranks.ts";
import { flagsBesideFile } from "../../training/origins.ts";
import { hasControls } from "../../training/printable.ts";
import type { PlannedRun } from "../plan.ts";
import { trainCommand } from "./command.ts";
import { checkJobs, type Launcher, type StudyWork, writeConfigs } from "./launcher.ts";
import { checkWord, quoteSbatch, quoteShell } from "./shell.ts";
import { SlurmQueue } from "./slurm_queue.ts";

/** Options of `SlurmLauncher`. */
export interface SlurmOptions {
  /** Runs at a time; by default as many as possible. */
  readonly jobs?: number;
  /** Options of sbatch, as on its command line: `--partition gpu --time 4:00:00`. */
  readonly options?: string;
  /** The largest number of runs in an array, 1,000 by default. Slurm's MaxArraySize, 1,001 by default, must be
   * greater. */
  readonly arraySize?: number;
  /** Processes that train each run together by MPI, 1 by default. The number of images in a batch must be a multiple of
   * it. */
  readonly tasks?: number;
  /** The command, with its options, that starts the processes inside a job: `mpirun --bind-to none` by default, or
   * `srun --mpi=pmix`. `-n` and their number are added. */
  readonly start?: string;
}

/** Without a binding, a process has the threads of all cores that the job has on its node, divided by its processes
 * there. */
const MPIRUN = "mpirun --bind-to none";

/** Seconds between the stop signal and the end of a job's time: enough for a step and a checkpoint. */
const GRACE = 120;
/** Options that the launcher sets itself and that the runs need. */
const OWN = /(?:^|\s)(--array|-a|--chdir|-D|--wrap)(?=[\s=]|$)/;
/** The same for runs of several processes. */
const OWN_OF_TASKS = /(?:^|\s)(--ntasks|-n)(?=[\s=\d]|$)/;

/** Submits a job array with one task per run, with the `sbatch` on PATH. More runs than fit in an array become several
 * arrays, one after another. With several `tasks`, each run is shared by that many processes, on one node or several:
 * the first of the job's nodes starts them with `mpirun`. The nodes must have the study's folder, this project and Deno at the same paths as this
 * machine.
 *
 * A task that is requeued, or stopped two minutes before its time limit, continues from the run's last checkpoint when
 * it is called again. Runs that belong to an earlier job in the queue are not submitted again, so a study can be
 * launched again at any time. The scripts, the output of the tasks and the list of the jobs are in `slurm/` in the
 * study's folder.
 *
 * ```ts
 * import { SlurmLauncher } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * new SlurmLauncher({ jobs: 8, options: "--partition gpu --time 4:00:00" });
 * new SlurmLauncher({ tasks: 16, options: "--nodes 2 --cpus-per-task 4" }); // Each run over two nodes.
 * assert.throws(() => new SlurmLauncher({ options: "--array 0-3" }), /--array must be left to the launcher/);
 * ```
 */
export class SlurmLauncher implements Launcher {
  readonly #jobs?: number;
  readonly #options?: string;
  readonly #arraySize: number;
  readonly #tasks: number;
  readonly #starter: readonly string[];

  /** Creates the launcher.
   * @throws {RangeError} an option is invalid
   */
  constructor({ jobs, options, arraySize = 1000, tasks = 1, start }: SlurmOptions = {}) {
    checkJobs(jobs ?? 1);
    for (const [name, value] of Object.entries({ arraySize, tasks })) {
      if (Number.isInteger(value) && value >= 1) continue;
      refuse(`${name} must be an integer of at least 1`, value);
    }
    if (start !== undefined && tasks === 1) {
      refuse("start must be given with tasks of at least 2, the processes that it starts", start);
    }
    if (start !== undefined && (!/^\S/.test(start) || hasControls(start))) {
      refuse("start must be a command, in a line", JSON.stringify(start));
    }
    if (options !== undefined && (!/^-./.test(options) || hasControls(options))) {
      refuse("the options must be options of sbatch on one line", JSON.stringify(options));
    }
    const own = options?.match(OWN)?.[1] ??
      (tasks > 1 ? options?.match(OWN_OF_TASKS)?.[1] : undefined);
    if (own !== undefined) refuse(`${own} must be left to the launcher`, options);
    this.#jobs = jobs;
    this.#options = options;
    this.#arraySize = arraySize;
    this.#tasks = tasks;
    this.#starter = tasks === 1
      ? []
      : [...(start ?? MPIRUN).split(" ").filter((word) => word !== ""), "-n", `${tasks}`];
  }

  /** Writes every run's configuration and the scripts, and submits them.
   * @throws {RangeError} a run cannot be split over this number of processes; thrown before anything is submitted
   */
  async launch({ study, out, runs }: StudyWork): Promise<readonly string[]> {
    const folder = join(out, "slurm");
    for (const { config } of runs) checkRanks(config, this.#tasks);
    checkPath(resolve(folder));
    checkWord(Deno.cwd());
    await mkdir(folder, { recursive: true });
    const queue = new SlurmQueue(folder);
    const queued = await queue.runs();
    const left = runs.filter(({ hash }) => !queued.has(hash));
    await writeConfigs(left);
    const jobs: string[] = [];
    for (let first = 0; first < left.length; first += this.#arraySize) {
      const part = left.slice(first, first + this.#arraySize);
      const script = join(folder, `array-${jobs.length + 1}.sh`);
      await writeAtomically(script, this.#script(study.name, out, part));
      jobs.push(await queue.submit(script, part, jobs.at(-1)));
    }
    const kept = runs.length - left.length;
    return [
      ...jobs.length === 0 ? [] : [
        `submitted job ${
          jobs.join(", ")
        } with ${left.length} of the runs: \`squeue --jobs ${jobs}\` shows it, ` +
        `\`scancel --signal TERM --batch ${
          jobs.join(" ")
        }\` stops those that run, with a checkpoint each`,
      ],
      ...kept === 0 ? [] : [`${kept} of the runs already belong to jobs in the queue`],
      `the tasks' output is in ${folder}`,
      `\`deno task ablate collect ${
        quoteShell(out)
      }\` collects their results at any time; then the same command as this one ` +
      `submits the remaining runs`,
    ];
  }

  /** The script of a job array. */
  #script(name: string, out: string, runs: readonly PlannedRun[]): string {
    const limit = this.#jobs === undefined ? "" : `%${this.#jobs}`;
    const options = [
      `--job-name=${name}`,
      ...this.#tasks === 1 ? [] : [`--ntasks=${this.#tasks}`],
      `--array=0-${runs.length - 1}${limit}`,
      `--chdir=${quoteSbatch(Deno.cwd())}`,
      `--output=${quoteSbatch(`${resolve(out).replaceAll("%", "%%")}/slurm/%A_%a.log`)}`,
      "--open-mode=append",
      "--requeue",
      `--signal=B:TERM@${GRACE}`,
      ...this.#options === undefined ? [] : [this.#options],
    ];
    // All runs have the same flags, because no axis may set them.
    const flags = [
      ...flagsBesideFile(runs[0].config),
      ...this.#tasks === 1 ? [] : ["--", ...this.#starter],
    ].map((word) => ` ${quoteShell(word)}`).join("");
    const folders = runs.map(({ config }) => `  ${quoteShell(resolve(config.out))}\n`);
    return `#!/bin/bash
${options.map((option) => `#SBATCH ${option}\n`).join("")}
runs=(
${folders.join("")})
exec ${trainCommand(out).map(quoteShell).join(" ")} "\${runs[SLURM_ARRAY_TASK_ID]}"${flags}
`;
  }
}

function refuse(requirement: string, got: unknown): never {
  throw new RangeError(`Cannot launch with slurm: ${requirement}, got ${got}`);
}

/** Rejects a folder that Slurm cannot write its output to.
 * @throws {RangeError} its path has control characters or backslashes
 */
function checkPath(folder: string): void {
  checkWord(folder);
  if (!folder.includes("\\")) return;
  refuse(
    "the folder's path must have no backslash, which has a special meaning in Slurm's file names",
    folder,
  );
}
