/** Computes a run of a study that is started by Slurm, Kubernetes or a shell.
 *
 *     deno run --allow-read --allow-write --allow-run tasks/train_launched.ts FOLDER [FLAG…] [-- mpirun -n 4]
 *
 * The folder has the run's `config.json`; the flags are those of the task `train` that the file must not contain. The
 * command after `--` starts several processes, which train the run together by MPI. The run continues from its last
 * checkpoint, stops with a checkpoint on SIGTERM or Ctrl-C, and writes `failure.json` if it fails. If another process
 * trains the run, this one waits for it. A finished run is not changed.
 */
import { printable, printableLines } from "../training/printable.ts";
import { trainToRecord } from "../studies/run_process.ts";
import { runTask } from "./fail.ts";
import { INTERRUPTED, Interruption } from "./interruption.ts";

async function main(): Promise<number> {
  const words = [...Deno.args, "--"], dashes = words.indexOf("--");
  const [folder, ...flags] = words.slice(0, dashes);
  using interruption = new Interruption(() => console.log("stopping after the current step"));
  const end = await trainToRecord(folder, {
    signal: interruption.signal,
    onLine: (line) => console.log(printable(line)),
    flags,
    starter: words.slice(dashes + 1, -1),
  });
  if (end.kind === "failed") console.error(printableLines(end.reason));
  return { finished: 0, failed: 1, stopped: INTERRUPTED }[end.kind];
}

await runTask(main);
