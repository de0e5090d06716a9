/** Workers of the CPU device in Deno. They are Node's, which do not keep the process alive. */
import type { Worker } from "node:worker_threads";
import { endOf, WORK, type WorkerPlaces } from "./worker.ts";

const PROGRAM = `{
  const { parentPort, workerData } = require("node:worker_threads");
  (${WORK})(workerData, () => parentPort.postMessage("ready"));
}`;

/** Node's `process`, as far as it is used. Browsers could not load an import of `node:`. */
interface Process {
  getBuiltinModule(name: "node:worker_threads"): typeof import("node:worker_threads");
}

/** Starts a worker; see `StartWorker`. */
export async function startDenoWorker(
  places: WorkerPlaces,
  onEnd: (reason: string) => void,
): Promise<void> {
  const { process } = globalThis as unknown as { readonly process: Process };
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  await watchWorker(
    new Worker(PROGRAM, { eval: true, workerData: places }),
    places.slot,
    onEnd,
  );
}

/** Waits until a worker has started, then listens for its end. The worker does not keep the process alive.
 * @param onEnd called with an error message if the worker ends
 * @throws {Error} the worker ends before it has started
 */
export async function watchWorker(
  worker: Worker,
  slot: number,
  onEnd: (reason: string) => void,
): Promise<void> {
  const words = (got: string) =>
    endOf(
      slot,
      got,
      "where memory ran out, fewer threads (--cpu.threads) take less, and --resume goes on with a run",
    );
  await new Promise<void>((started, refused) => {
    const end = (got: string) => {
      onEnd(words(got));
      refused(new Error(words(got)));
    };
    worker.once("message", () => started());
    worker.on("error", (error: Error) => end(error.message));
    worker.on("exit", (code) => end(`its end with code ${code}`));
  });
  worker.unref();
}
