/** The process of a study's run: the task train on `--out FOLDER --resume`, as long as the study lives and wants it.
 *
 * The study holds the other end of stdin; that closes when the study stops the run or is gone, by whatever end, and then
 * the run stops as on Ctrl-C, with a checkpoint. One that is still stopping holds the run's lock, which the next process
 * of the run waits for.
 */
import { join } from "node:path";

async function stopWithStudy(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.kill(Deno.pid, "SIGTERM");
}

const [, folder] = Deno.args;
stopWithStudy();
const lock = await Deno.open(join(folder, "run.lock"), { create: true, write: true });
await lock.lock(true);
await import("./train.ts");
