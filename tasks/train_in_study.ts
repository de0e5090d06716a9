/** The process of a study's run: the task train on `--out FOLDER --resume`, as long as the study lives and wants it; then, of
 * a generator that is to be judged, the task evaluate.
 *
 * The study holds the other end of stdin; that closes when the study stops the run or is gone, by whatever end, and then
 * the run stops as on Ctrl-C, with a checkpoint. One that is still stopping, or that is trained elsewhere, holds the run's
 * lock, which the next process of the run waits for; there may be nothing left to do then.
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
