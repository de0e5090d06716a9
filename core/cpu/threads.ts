/** The worker threads of the CPU device. */
import type { Worker } from "node:worker_threads";
import { bindGemm, type Blas, gemmSource } from "./blas.ts";
import { bindExecute, type Dnn } from "./dnn/library.ts";
import type { Exports } from "./exports.ts";
import type { CpuMemory } from "./memory.ts";

/** The maximum number of threads of a machine. */
export const MOST_THREADS = 256;

/** The kernels, their memory and the threads that run them. */
export class Machine {
  readonly #job: number;
  #failure: string | undefined;

  /** Made by `startMachine`.
   * @param exports what the kernels export, on the main thread
   * @param memory their memory
   * @param threads the number of threads, including the main one
   */
  constructor(
    readonly exports: Exports,
    readonly memory: CpuMemory,
    readonly threads: number,
  ) {
    this.#job = exports.jobAddress();
  }

  /** Writes integers, or addresses in bytes, to the job, from word number `first` on. */
  readonly describe = (words: ArrayLike<number>, first = 0): void => {
    if (this.#failure !== undefined) throw new Error(this.#failure);
    this.memory.integers(this.#job + first * 4, words.length).set(words);
  };

  /** Writes float32 numbers to the job, from word number `first` on. */
  readonly describeFloats = (words: readonly number[], first: number): void =>
    this.memory.floats(this.#job + first * 4, words.length).set(words);

  /** Makes every later kernel throw an error with this message, because a thread that it would wait for has ended. */
  fail(reason: string): void {
    this.#failure ??= reason;
  }

  /** Ends the workers; called when no kernel runs. */
  close(): void {
    this.exports.leave();
  }
}

/** The whole program of a worker: it runs inside `work`, and reports a trap through `fail`. */
const PROGRAM = `{
  const { parentPort, workerData } = require("node:worker_threads");
  const { kernels, module, memory, slot, scratch, threads, blas, dnn } = workerData;
  const gemm = blas === undefined ? () => {} : (${bindGemm})(blas);
  const execute = dnn === undefined ? () => {} : (${bindExecute})(dnn);
  const instance = new WebAssembly.Instance(kernels, { [module]: { memory, gemm, execute } });
  instance.exports.enter(slot, scratch, threads);
  parentPort.postMessage("ready");
  try {
    instance.exports.work();
  } catch (error) {
    instance.exports.fail();
    throw error;
  }
}`;

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
    `Cannot run on the cpu device: thread ${slot} must live as long as the device, got ${got}; where memory ran out, ` +
    "fewer threads (--cpu.threads) take less, and --resume goes on with a run";
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

/** System libraries that kernels may call. */
export interface Libraries {
  /** For products. */
  readonly blas?: Blas;
  /** For convolutions. */
  readonly dnn?: Dnn;
}

/** Compiles the kernels and starts `threads − 1` workers, which do not keep the process alive. If a kernel traps on any
 * thread, it throws `WebAssembly.RuntimeError`, and so does every later kernel of the machine.
 * @param memory a memory that no other machine uses
 * @param libraries the libraries for the BLAS and oneDNN kernels; without a library, its kernels must not be run
 * @throws {RangeError} the number of threads is not an integer in [1, 256], or not 1 in a browser
 */
export async function startMachine(
  memory: CpuMemory,
  threads: number,
  libraries: Libraries = {},
): Promise<Machine> {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new RangeError(
      `Cannot open the cpu device: threads must be an integer in [1, ${MOST_THREADS}], got ${threads}`,
    );
  }
  if (threads > 1 && !hasThreads()) {
    throw new RangeError(
      `Cannot open the cpu device: threads must be 1 in a browser, got ${threads}`,
    );
  }
  const kernels = await WebAssembly.compileStreaming(
    fetch(new URL("./kernels.wasm", import.meta.url)),
  );
  // `env` in the sources. `deno publish` mistakes it for a path, so the published file has `./env`.
  const [{ module }] = WebAssembly.Module.imports(kernels);
  const blas = libraries.blas === undefined ? undefined : gemmSource(libraries.blas, memory.memory);
  const dnn = libraries.dnn?.source;
  const gemm = blas === undefined ? () => {} : bindGemm(blas);
  const execute = dnn === undefined ? () => {} : bindExecute(dnn);
  const imports = { memory: memory.memory, gemm, execute };
  const instance = await WebAssembly.instantiate(kernels, { [module]: imports });
  const exports = instance.exports as unknown as Exports;
  memory.begin(exports.heapBase());
  const scratch = memory.allocate(threads * exports.scratchBytes()).address;
  exports.enter(0, scratch, threads);
  const machine = new Machine(exports, memory, threads);
  const starts = Array.from({ length: threads - 1 }, (_, index) => {
    const slot = index + 1;
    const places = { memory: memory.memory, slot, scratch, threads };
    const worker = startWorker(PROGRAM, { kernels, module, ...places, blas, dnn });
    return watchWorker(worker, slot, (reason) => machine.fail(reason));
  });
  await Promise.all(starts);
  return machine;
}

/** The part of Node's `process` that is used. Browsers have none, and could not load an import of `node:`. */
interface Process {
  getBuiltinModule(name: "node:worker_threads"): typeof import("node:worker_threads");
}

/** Whether this program can start threads that share the kernels' memory. Not in a browser, where the main thread must
 * not block. */
export function hasThreads(): boolean {
  return "Deno" in globalThis;
}

function startWorker(program: string, workerData: unknown): Worker {
  const { process } = globalThis as unknown as { readonly process: Process };
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  return new Worker(program, { eval: true, workerData });
}
