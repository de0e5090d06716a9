/** A run of a study that something else than the study calls: Slurm, Kubernetes, a shell.
 *
 *     deno run --allow-read --allow-write --allow-run tasks/train_launched.ts FOLDER [FLAG…]
 *
 * The folder holds the run's `config.json`; the flags are those of the task train that it may not say. The run goes on from its last checkpoint, stops with one on SIGTERM or
 * Ctrl-C, and leaves `failure.json` if it fails. One that another process trains is waited for; one that is finished is
 * left as it is.
 */
import { printable, printableLines } from "../training/printable.ts";
import { trainToRecord } from "../studies/run_process.ts";
import { runTask } from "./fail.ts";
import { INTERRUPTED, Interruption } from "./interruption.ts";

async function main(): Promise<number> {
  const [folder, ...flags] = Deno.args;
  using interruption = new Interruption(() => console.log("stopping after the step under way"));
  const end = await trainToRecord(folder, {
    signal: interruption.signal,
    onLine: (line) => console.log(printable(line)),
    flags,
  });
  if (end.kind === "failed") console.error(printableLines(end.reason));
  return { finished: 0, failed: 1, stopped: INTERRUPTED }[end.kind];
}

await runTask(main);
