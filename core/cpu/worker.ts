/** A worker thread of the CPU device: its inputs, its program, and the error when it ends. */
import { bindGemm, type GemmSource } from "./blas.ts";
import { bindExecute, type ExecuteSource } from "./dnn/library.ts";

/** The inputs of a worker, which can be sent in a message. */
export interface WorkerPlaces {
  /** The compiled kernels. */
  readonly kernels: WebAssembly.Module;
  /** The name of the module that they import from. */
  readonly module: string;
  /** Their memory. */
  readonly memory: WebAssembly.Memory;
  /** The worker's number, from 1 on. */
  readonly slot: number;
  /** The address of the scratch memory of all threads. */
  readonly scratch: number;
  /** The number of threads, including the main one. */
  readonly threads: number;
  /** The library for the BLAS kernels. */
  readonly blas?: GemmSource;
  /** The library for the oneDNN kernels. */
  readonly dnn?: ExecuteSource;
}

/** Starts a worker, and waits until it accepts jobs.
 * @param onEnd called with an error message if the worker ends before the device is closed
 * @throws {Error} the worker ends before it has started
 */
export type StartWorker = (
  places: WorkerPlaces,
  onEnd: (reason: string) => void,
) => Promise<void>;

/** The source text of `(places, started) => {…}`. It runs jobs until the device is closed, and reports a trap through
 * `fail`. It is text because a worker started from a bundle or a web page cannot find this package's modules. */
export const WORK = `({ kernels, module, memory, slot, scratch, threads, blas, dnn }, started) => {
  const gemm = blas === undefined ? () => {} : (${bindGemm})(blas);
  const execute = dnn === undefined ? () => {} : (${bindExecute})(dnn);
  const { exports } = new WebAssembly.Instance(kernels, { [module]: { memory, gemm, execute } });
  exports.enter(slot, scratch, threads, true);
  started();
  try {
    exports.work();
  } catch (error) {
    exports.fail();
    throw error;
  }
}`;

/** The error message for a worker that ended too early.
 * @param got what is known about its end
 * @param advice what to do about it
 */
export function endOf(slot: number, got: string, advice: string): string {
  return `Cannot run on the cpu device: thread ${slot} must live as long as the device, got ${got}; ${advice}`;
}
