/** Runs a run of a study in a separate process. */
import { RunFolder } from "../training/run_folder.ts";
import { clearFailure, writeFailure } from "./records.ts";
import { lockFlags } from "./lock_file.ts";
import { placesOf, runPermissions } from "./run_permissions.ts";

/** How a run's process ended. */
export type RunEnd =
  | { readonly kind: "finished" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string };

/** Options of `trainToRecord`. */
export interface RunProcessOptions {
  /** Stops the run, with a checkpoint. */
  readonly signal: AbortSignal;
  /** Called with every line that the run prints. */
  readonly onLine: (line: string) => void;
  /** Flags of the task `train` that are not allowed in its `config.json`, see `flagsBesideFile`; none by default. */
  readonly flags?: readonly string[];
  /** The command that starts several processes, which train the run together by MPI: `mpirun -n 4`. By default one
   * process trains it. */
  readonly starter?: readonly string[];
}

/** The flag of the task `train` for a run of several processes. */
export const RANKS_FLAG = "--distributed=mpi";
/** The exit code of a run that was stopped with a checkpoint. */
const INTERRUPTED = 130;
/** The largest number of characters kept of an error. */
const MOST_WORDS = 2000;

/** The task that trains. */
const TRAIN: string = import.meta.resolve("../tasks/train_in_study.ts");

/** Trains the run whose `config.json` is in a folder, starting from its last checkpoint if it has one. If it fails, it
 * writes `failure.json`; an earlier `failure.json` is removed.
 * @throws {Error} processes cannot be started; without the starter, the message names it
 */
export async function trainToRecord(folder: string, options: RunProcessOptions): Promise<RunEnd> {
  await clearFailure(folder);
  const end = await trainInProcess(folder, options);
  if (end.kind === "failed") await writeFailure(folder, end.reason);
  return end;
}

/** Trains a run in a process with no more permissions than this one.
 *
 * The process has a group of its own, so that Ctrl-C on a terminal reaches only the study. It stops, with a checkpoint,
 * when its stdin closes, because this process closed it or has ended.
 */
async function trainInProcess(
  folder: string,
  { signal, onLine, flags = [], starter = [] }: RunProcessOptions,
): Promise<RunEnd> {
  const saved = await new RunFolder(folder).readConfig().catch(() => null); // The run itself reports what is wrong with it.
  const permissions = runPermissions(placesOf(folder, saved));
  const ranks = starter.length === 0 ? [] : [RANKS_FLAG];
  const run = [TRAIN, "--out", folder, "--resume", ...ranks, ...flags];
  const child = spawn([
    ...starter,
    ...[Deno.execPath(), "run", ...lockFlags(), ...permissions, ...run],
  ]);
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= child.stdin.close().catch(() => {}); // It may be gone.
  };
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    const [errors] = await Promise.all([new Response(child.stderr).text(), hear(child, onLine)]);
    const { code, signal: killer } = await child.status;
    if (code === 0) return { kind: "finished" };
    if (signal.aborted || code === INTERRUPTED) return { kind: "stopped" };
    const words = errors.trim().slice(-MOST_WORDS) || `its exit code was ${code}`;
    return { kind: "failed", reason: killer === null ? words : `it was killed by ${killer}` };
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    await Promise.all([stopping, child.status]); // No process outlives the call, even after an error.
  }
}

function spawn([command, ...args]: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command(command, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
      detached: true,
    }).spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(`Cannot train a run: ${command} must be on PATH, got none`, { cause });
  }
}

async function hear(child: Deno.ChildProcess, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
}
