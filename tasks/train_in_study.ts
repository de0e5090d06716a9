/** The process of a study's run: the task train on `--out FOLDER --resume`, as long as the study lives and wants it.
 *
 * The study holds the other end of stdin; that closes when the study stops the run or is gone, by whatever end, and then
 * the run stops as on Ctrl-C, with a checkpoint. One that is still stopping, or that is trained elsewhere, holds the run's
 * lock, which the next process of the run waits for; there may be nothing left to do then.
 */
import { join } from "node:path";
import { awaitLock } from "../files/folder_lock.ts";
import { RunFolder } from "../training/run_folder.ts";
import { runTask } from "./fail.ts";

async function stopWithStudy(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.kill(Deno.pid, "SIGTERM");
}

const [, folder] = Deno.args;
stopWithStudy();
await awaitLock(
  join(folder, "run.lock"),
  (holder) => console.log(`waiting for ${holder}, which trains this run`),
);
if (await new RunFolder(folder).state() === "finished") Deno.exit(0);
const { main } = await import("./train.ts");
await runTask(() => main(Deno.args));
