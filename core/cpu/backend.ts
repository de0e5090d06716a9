/** The cpu device: WebAssembly SIMD on threads, behind the interface of every device. */
import type { Backend, HostView, Kernels } from "../backend.ts";
import type { DType } from "../shape.ts";
import { findBlas } from "./blas.ts";
import { blasProductKernels } from "./kernels/blas_products.ts";
import { attentionKernels } from "./kernels/attention.ts";
import { findDnn } from "./dnn/library.ts";
import { codesKernels } from "./kernels/codes.ts";
import { crossEntropyKernels } from "./kernels/cross_entropy.ts";
import { DnnConvolutions } from "./kernels/dnn_convolutions.ts";
import { elementwiseKernels } from "./kernels/elementwise.ts";
import { maxPoolKernels } from "./kernels/max_pool.ts";
import { movementKernels } from "./kernels/movement.ts";
import { nearestKernels } from "./kernels/nearest.ts";
import { normalizationKernels } from "./kernels/normalization.ts";
import { optimizerKernels } from "./kernels/optimizer.ts";
import { type ProductKernels, productKernels } from "./kernels/products.ts";
import { randomKernels } from "./kernels/random.ts";
import { reductionKernels } from "./kernels/reductions.ts";
import { type CpuBuffer, CpuMemory } from "./memory.ts";
import { hasThreads, type Machine, MOST_THREADS, startMachine } from "./threads.ts";

/** Options of the device. */
export interface CpuOptions {
  /** The number of threads, including the main one; by default one per core up to 256, and one in a web page that is not
   * cross-origin isolated. */
  readonly threads?: number;
  /** The system's BLAS for the matrix products. `auto`, the default, uses one that is installed and allowed; `off` uses
   * none; a path uses that library. Results differ in the last bits. */
  readonly blas?: string;
  /** The system's oneDNN for the convolutions; the same choices. */
  readonly dnn?: string;
}

function kernelsOf(machine: Machine, products: ProductKernels): Kernels<CpuBuffer> {
  return {
    ...elementwiseKernels(machine),
    ...reductionKernels(machine),
    ...products,
    ...normalizationKernels(machine),
    ...attentionKernels(machine),
    ...movementKernels(machine),
    ...maxPoolKernels(machine),
    ...codesKernels(machine),
    ...crossEntropyKernels(machine),
    ...nearestKernels(machine), // not by BLAS, which may round equal keys differently in different columns
    ...randomKernels(machine),
    ...optimizerKernels(machine),
  };
}

function usualThreads(): number {
  return Math.min(navigator.hardwareConcurrency, MOST_THREADS);
}

/** Opens the cpu device. A kernel is finished when its call returns. Results do not depend on the number of threads.
 *
 * `openDevice("cpu")` wraps it for tensors. Used directly:
 *
 * ```ts
 * import { openCpuBackend } from "./backend.ts";
 * import assert from "node:assert/strict";
 * const backend = await openCpuBackend({ threads: 2 });
 * const x = { buffer: backend.allocate(8), shape: [2], dtype: "float32" } as const;
 * backend.kernels.full([], [x], { value: 3, dtype: "float32" });
 * assert.deepEqual([...await backend.read(x.buffer, "float32", 2)], [3, 3]);
 * backend.close();
 * ```
 * @throws {RangeError} the number of threads is not an integer in [1, 256], or not 1 in a web page that is not cross-origin
 * isolated; the library at a path cannot be used; or there is not enough address space
 * @throws {Error} a thread cannot be started
 */
export async function openCpuBackend(options: CpuOptions = {}): Promise<Backend<CpuBuffer>> {
  const { threads = hasThreads() ? usualThreads() : 1 } = options;
  const blas = findBlas(options.blas ?? "auto");
  blas?.setThreads(1); // each of ours calls it
  const memory = new CpuMemory();
  const dnn = findDnn(options.dnn ?? "auto");
  const machine = await startMachine(memory, threads, { blas, dnn });
  const others = blas === undefined ? productKernels(machine) : blasProductKernels(machine);
  const convolutions = dnn === undefined ? undefined : new DnnConvolutions(machine, dnn);
  const host = ({ address }: CpuBuffer, dtype: DType, length: number): HostView =>
    dtype === "float32" ? memory.floats(address, length) : memory.integers(address, length);
  return {
    name: "cpu",
    precision: "float32",
    description: `cpu: WebAssembly SIMD on ${threads} thread${threads === 1 ? "" : "s"}` +
      (blas === undefined ? "" : `, products by ${blas.description}`) +
      (dnn === undefined ? "" : `, convolutions by ${dnn.description}`),
    kernels: kernelsOf(machine, convolutions?.kernels(others) ?? others),
    timing: "call",
    allocate: (bytes) => memory.allocate(bytes),
    free: (buffer) => memory.free(buffer),
    write({ address }, data) {
      const view = data instanceof Float32Array
        ? memory.floats(address, data.length)
        : memory.integers(address, data.length);
      view.set(data);
    },
    read: (buffer, dtype, length) => Promise.resolve(host(buffer, dtype, length).slice()),
    host,
    synchronize: () => Promise.resolve(),
    close() {
      convolutions?.close();
      machine.close();
    },
  };
}
