/** Slurm's queue, as far as it has runs of a study. */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readJsonLines } from "../../training/read_back.ts";
import type { PlannedRun } from "../plan.ts";

/** A job array that was submitted. */
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

/** Submits runs, and knows which of them are waiting or running. */
export class SlurmQueue {
  readonly #list: string;

  /** Keeps the list of submitted jobs in a folder. */
  constructor(folder: string) {
    this.#list = join(folder, "submitted.jsonl");
  }

  /** The hashes of the runs that jobs of this user in the queue have.
   * @throws {Error} jobs were submitted, and Slurm does not tell of them, or the list of them is damaged
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

  /** Submits the script of a job array, and gives the job's number.
   * @param runs by the tasks' indices
   * @param after the job that must have ended before
   * @throws {Error} there is no Slurm here, or it refuses the script
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

/** What one of Slurm's commands prints. */
async function call(purpose: string, command: string, ...args: string[]): Promise<string> {
  const decoder = new TextDecoder();
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
    if (success) return decoder.decode(stdout);
    throw new Error(`${purpose}: ${command} must succeed, got ${decoder.decode(stderr).trim()}`);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `${purpose}: ${command} must be on PATH, got none; call this where Slurm's commands are`,
      { cause },
    );
  }
}
