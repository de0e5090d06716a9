/** The runs of a study in Slurm's queue. */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readJsonLines } from "../../training/read_back.ts";
import type { PlannedRun } from "../plan.ts";

/** A submitted job array. */
interface SubmittedArray {
  /** The job's number. */
  readonly job: string;
  /** The hashes of its runs, by the tasks' indices. */
  readonly runs: readonly string[];
}

const SUBMITTED: z.ZodType<SubmittedArray> = z.object({
  job: z.string(),
  runs: z.array(z.string()),
});

/** Submits runs, and keeps track of which are waiting or running. */
export class SlurmQueue {
  readonly #list: string;

  /** Keeps the list of submitted jobs in a folder. */
  constructor(folder: string) {
    this.#list = join(folder, "submitted.jsonl");
  }

  /** The hashes of the runs that belong to this user's jobs in the queue.
   * @throws {Error} jobs were submitted, but Slurm gives no information about them, or the list of jobs is damaged
   */
  async runs(): Promise<ReadonlySet<string>> {
    const submitted = await readJsonLines(this.#list, SUBMITTED, "a submitted job");
    if (submitted.length === 0) return new Set();
    const purpose = "Cannot tell which runs are in Slurm's queue";
    const tasks = await call(purpose, "squeue", "--me", "--noheader", "--array", "--format=%i");
    const inQueue = new Set(tasks.split("\n").map((task) => task.trim()));
    return new Set(
      submitted.flatMap(({ job, runs }) =>
        runs.filter((_, index) => inQueue.has(`${job}_${index}`))
      ),
    );
  }

  /** Submits the script of a job array, and returns the job's number.
   * @param runs the hashes of the runs, by the tasks' indices
   * @param after the job that must end first
   * @throws {Error} Slurm is not available, or rejects the script
   */
  async submit(script: string, runs: readonly PlannedRun[], after?: string): Promise<string> {
    const order = after === undefined ? [] : [`--dependency=afterany:${after}`];
    const printed = await call(`Cannot submit ${script}`, "sbatch", "--parsable", ...order, script);
    const [job] = printed.trim().split(";"); // A cluster's name may follow.
    const array: SubmittedArray = { job, runs: runs.map(({ hash }) => hash) };
    await appendFile(this.#list, `${JSON.stringify(array)}\n`);
    return job;
  }
}

/** The output of a Slurm command. */
async function call(purpose: string, command: string, ...args: string[]): Promise<string> {
  const decoder = new TextDecoder();
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
    if (success) return decoder.decode(stdout);
    throw new Error(`${purpose}: ${command} must succeed, got ${decoder.decode(stderr).trim()}`);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `${purpose}: ${command} must be on PATH, got none; run this on a machine with Slurm's commands`,
      { cause },
    );
  }
}
