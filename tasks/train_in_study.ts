/** The process of a study's run, or one of several that train it together. It runs the task `train` with `--out FOLDER
 * --resume` until the study stops it or ends; then, for a generator that is evaluated, the task `evaluate`.
 *
 * The study holds the other end of the first process's stdin. It closes when the study stops the run, or when the
 * study's process ends for any reason. The run then stops as on Ctrl-C, with a checkpoint. While a run is still
 * stopping, or is trained elsewhere, it holds the run's lock. The next process of the run waits for the lock; there may
 * then be nothing left to do.
 */
import { join } from "node:path";
import { awaitLock } from "../files/folder_lock.ts";
import { type Communicator, isAnyRank } from "../training/distributed/communicator.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readJudgement, readJudging } from "../studies/judging.ts";
import { RANKS_FLAG } from "../studies/run_process.ts";
import type { Config } from "../training/config.ts";
import { runTask } from "./fail.ts";
import { main as train } from "./train.ts";

async function stopWithStudy(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.kill(Deno.pid, "SIGTERM");
}

const [, folder, , ...flags] = Deno.args;
const run = new RunFolder(folder);
let isFirst = true;

/** Waits for the run's lock; false if the run is finished then. */
async function begin(communicator: Communicator): Promise<boolean> {
  isFirst = communicator.rank === 0;
  if (isFirst) {
    stopWithStudy();
    await awaitLock(
      join(folder, "run.lock"),
      (holder) => console.log(`waiting for ${holder}, which trains this run`),
    );
  }
  communicator.barrier("for the run's lock", Infinity);
  const finished = isFirst && await run.state() === "finished";
  return !isAnyRank(communicator, finished, "the run is finished");
}

/** Evaluates the finished run, if it is a generator that is to be evaluated and is not yet. */
async function end(communicator: Communicator): Promise<number> {
  const judging = await readJudging(folder);
  const { device, objective: { type } } = await run.readConfig() as Config;
  const owed = isFirst && judging !== undefined &&
    await readJudgement(folder, { type, ...judging }) === undefined;
  if (!isAnyRank(communicator, owed, "the run is to be evaluated")) return 0;
  const { main: evaluate } = await import("./evaluate.ts");
  const { samples = null, sampling = {} } = judging ?? {};
  const how = Object.entries({ count: samples, ...sampling })
    .flatMap(([name, value]) => [`--${name}`, value === null ? "none" : `${value}`]);
  const own = flags.filter((flag) => flag !== RANKS_FLAG);
  return await evaluate([folder, "--device", device, ...how, ...own], communicator);
}

await runTask(() => train(Deno.args, { begin, end }));
