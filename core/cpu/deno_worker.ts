/** Workers of the CPU device in Deno. Node's workers are used, because they do not have to keep the process alive. */
import type { Worker } from "node:worker_threads";
import { endOf, WORK, type WorkerPlaces } from "./worker.ts";

const PROGRAM = `{
  const { parentPort, workerData } = require("node:worker_threads");
  (${WORK})(workerData, () => parentPort.postMessage("ready"));
}`;

/** The part of Node's `process` that is used. Browsers cannot load an import of `node:`. */
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
      "if memory ran out, use fewer threads (--cpu.threads); --resume continues a run",
    );
  await new Promise<void>((started, refused) => {
    const end = (got: string) => {
      onEnd(words(got));
      refused(new Error(words(got)));
    };
    worker.once("message", () => started());
    worker.on("error", (error: Error) => end(error.message));
    worker.on("exit", (code) => end(`an exit with code ${code}`));
  });
  worker.unref();
}
