/** The process of a study's run. It runs the task `train` with `--out FOLDER --resume` until the study stops it or
 * ends; then, for a generator that is evaluated, the task `evaluate`.
 *
 * The study holds the other end of stdin. It closes when the study stops the run, or when the study's process ends for
 * any reason. The run then stops as on Ctrl-C, with a checkpoint. While a run is still stopping, or is trained
 * elsewhere, it holds the run's lock. The next process of the run waits for the lock; there may then be nothing left to
 * do.
 */
import { join } from "node:path";
import { awaitLock } from "../files/folder_lock.ts";
import { RunFolder } from "../training/run_folder.ts";
import { readJudgement, readJudging } from "../studies/judging.ts";
import type { Config } from "../training/config.ts";
import { runTask } from "./fail.ts";

async function stopWithStudy(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.kill(Deno.pid, "SIGTERM");
}

const [, folder, , ...flags] = Deno.args;
stopWithStudy();
await awaitLock(
  join(folder, "run.lock"),
  (holder) => console.log(`waiting for ${holder}, which trains this run`),
);
await runTask(async () => {
  const run = new RunFolder(folder);
  if (await run.state() !== "finished") {
    const { main } = await import("./train.ts");
    const code = await main(Deno.args);
    if (code !== 0) return code;
  }
  const judging = await readJudging(folder);
  if (judging === undefined || await readJudgement(folder) !== undefined) return 0;
  const { device } = await run.readConfig() as Config;
  const { main } = await import("./evaluate.ts");
  const count = judging.samples === null ? [] : ["--count", `${judging.samples}`];
  return await main([folder, "--device", device, ...count, ...flags]);
});
