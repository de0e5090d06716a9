/** A worker thread of the CPU device: what it is given, what it runs, and how its end is reported. */
import { bindGemm, type GemmSource } from "./blas.ts";
import { bindExecute, type ExecuteSource } from "./dnn/library.ts";

/** What a worker is given; it can be sent there. */
export interface WorkerPlaces {
  /** The compiled kernels. */
  readonly kernels: WebAssembly.Module;
  /** The name of the module from which they import. */
  readonly module: string;
  /** Their memory. */
  readonly memory: WebAssembly.Memory;
  /** The worker's number, from 1 on. */
  readonly slot: number;
  /** The address of the scratch memory of all threads. */
  readonly scratch: number;
  /** The number of threads, including the main one. */
  readonly threads: number;
  /** The library of the BLAS kernels. */
  readonly blas?: GemmSource;
  /** The library of the oneDNN kernels. */
  readonly dnn?: ExecuteSource;
}

/** Starts a worker, and waits until it takes jobs.
 * @param onEnd called with what happened if the worker ends before the device is closed
 * @throws {Error} the worker ends before it has started
 */
export type StartWorker = (
  places: WorkerPlaces,
  onEnd: (reason: string) => void,
) => Promise<void>;

/** The source text of `(places, started) => {…}`, which takes jobs until the device is closed, and reports a trap through
 * `fail`. It is text because a worker could not find a module of this package from a bundle or from the web. */
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
 * @param got what is known of its end
 * @param advice what to do about it
 */
export function endOf(slot: number, got: string, advice: string): string {
  return `Cannot run on the cpu device: thread ${slot} must live as long as the device, got ${got}; ${advice}`;
}
