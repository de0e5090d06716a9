/** The worker threads of the CPU device. */
import { Worker } from "node:worker_threads";
import { bindGemm, type Blas, gemmSource } from "./blas.ts";
import type { Exports } from "./exports.ts";
import type { CpuMemory } from "./memory.ts";

/** The most threads a machine may have. */
export const MOST_THREADS = 256;

/** The kernels, their memory and the threads that run them. */
export class Machine {
  readonly #job: number;

  /** Made by `startMachine`.
   * @param exports what the kernels export, on the main thread
   * @param memory their memory
   * @param threads how many threads work, the main one included
   */
  constructor(
    readonly exports: Exports,
    readonly memory: CpuMemory,
    readonly threads: number,
  ) {
    this.#job = exports.jobAddress();
  }

  /** Writes integers, or addresses in bytes, to the job, from its word number `first` on. */
  readonly describe = (words: readonly number[], first = 0): void =>
    this.memory.integers(this.#job + first * 4, words.length).set(words);

  /** Writes float32 numbers to the job, from its word number `first` on. */
  readonly describeFloats = (words: readonly number[], first: number): void =>
    this.memory.floats(this.#job + first * 4, words.length).set(words);

  /** Ends the workers; called when no kernel runs. */
  close(): void {
    this.exports.leave();
  }
}

/** A worker's whole program: it lives inside `work`, and reports a trap through `fail`. */
const PROGRAM = `{
  const { workerData } = require("node:worker_threads");
  const { kernels, memory, slot, scratch, threads, source } = workerData;
  const gemm = source === undefined ? () => {} : (${bindGemm})(source);
  const instance = new WebAssembly.Instance(kernels, { env: { memory, gemm } });
  instance.exports.enter(slot, scratch, threads);
  try {
    instance.exports.work();
  } catch (error) {
    instance.exports.fail();
    throw error;
  }
}`;

/** Compiles the kernels and starts `threads − 1` workers, which do not keep the process alive. A kernel that traps on
 * any thread throws `WebAssembly.RuntimeError`, and so does every later one of the machine.
 * @param memory one that no other machine has
 * @param blas what the kernels by BLAS call; without it they must not run
 * @throws {RangeError} the number of threads is not an integer in [1, 256]
 */
export async function startMachine(
  memory: CpuMemory,
  threads: number,
  blas?: Blas,
): Promise<Machine> {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new RangeError(
      `Cannot open the cpu device: threads must be an integer in [1, ${MOST_THREADS}], got ${threads}`,
    );
  }
  const module = await WebAssembly.compileStreaming(
    fetch(new URL("./kernels.wasm", import.meta.url)),
  );
  const source = blas === undefined ? undefined : gemmSource(blas, memory.memory);
  const gemm = source === undefined ? () => {} : bindGemm(source);
  const instance = await WebAssembly.instantiate(module, { env: { memory: memory.memory, gemm } });
  const exports = instance.exports as unknown as Exports;
  memory.begin(exports.heapBase());
  const scratch = memory.allocate(threads * exports.scratchBytes()).address;
  exports.enter(0, scratch, threads);
  for (let slot = 1; slot < threads; slot++) {
    const workerData = { kernels: module, memory: memory.memory, slot, scratch, threads, source };
    new Worker(PROGRAM, { eval: true, workerData }).unref();
  }
  return new Machine(exports, memory, threads);
}
