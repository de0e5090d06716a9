/** The worker threads of the CPU device. */
import { bindGemm, type Blas, gemmSource } from "./blas.ts";
import { startDenoWorker } from "./deno_worker.ts";
import { bindExecute, type Dnn } from "./dnn/library.ts";
import type { Exports } from "./exports.ts";
import type { CpuMemory } from "./memory.ts";
import { startWebWorker } from "./web_worker.ts";
import type { StartWorker } from "./worker.ts";

/** The maximum number of threads of a machine. */
export const MOST_THREADS = 256;

/** The kernels, their memory and the threads that run the kernels. */
export class Machine {
  readonly #job: number;
  #failure: string | undefined;

  /** Called by `startMachine`.
   * @param exports the exports of the kernels, on the main thread
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

  /** Makes every later kernel throw an error with this message. Called when a thread that kernels wait for has ended. */
  fail(reason: string): void {
    this.#failure ??= reason;
  }

  /** Ends the workers. Called when no kernel runs. */
  close(): void {
    this.exports.leave();
  }
}

/** System libraries that kernels may call. */
export interface Libraries {
  /** For products. */
  readonly blas?: Blas;
  /** For convolutions. */
  readonly dnn?: Dnn;
}

/** Compiles the kernels and starts `threads − 1` workers. In Deno, workers do not keep the process alive. If a kernel
 * traps on any thread, it throws `WebAssembly.RuntimeError`, and so does every later kernel of the machine.
 * @param memory the memory, which no other machine uses
 * @param libraries the libraries for the BLAS and oneDNN kernels; without a library, its kernels must not be run
 * @throws {RangeError} the number of threads is not an integer in [1, 256], or not 1 in a page that is not cross-origin
 * isolated
 * @throws {Error} a worker cannot be started
 */
export async function startMachine(
  memory: CpuMemory,
  threads: number,
  libraries: Libraries = {},
): Promise<Machine> {
  checkThreads(threads);
  const kernels = await WebAssembly.compileStreaming(
    fetch(new URL("./kernels.wasm", import.meta.url)),
  );
  // The sources call this module `env`. `deno publish` mistakes that for a path and writes `./env` to the published file.
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
  exports.enter(0, scratch, threads, mayBlock(memory));
  const machine = new Machine(exports, memory, threads);
  const places = { kernels, module, memory: memory.memory, scratch, threads, blas, dnn };
  const starts = Array.from(
    { length: threads - 1 },
    (_, index) => startWorker({ ...places, slot: index + 1 }, (reason) => machine.fail(reason)),
  );
  try {
    await Promise.all(starts);
  } catch (error) {
    machine.close();
    throw error;
  }
  return machine;
}

const IN_DENO = "Deno" in globalThis;

const startWorker: StartWorker = IN_DENO ? startDenoWorker : startWebWorker;

/** Whether this program can start threads that share the kernels' memory. */
export function hasThreads(): boolean {
  const { crossOriginIsolated = false } = globalThis as { readonly crossOriginIsolated?: boolean };
  return IN_DENO || crossOriginIsolated;
}

function checkThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new RangeError(
      `Cannot open the cpu device: threads must be an integer in [1, ${MOST_THREADS}], got ${threads}`,
    );
  }
  if (threads > 1 && !hasThreads()) {
    throw new RangeError(
      "Cannot open the cpu device: threads must be 1 in a page that is not cross-origin isolated (by the headers " +
        `Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp), got ${threads}`,
    );
  }
}

/** Whether the calling thread may block. The main thread of a web page may not. */
function mayBlock(memory: CpuMemory): boolean {
  try {
    Atomics.wait(memory.integers(0, 1), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
