/** The measured limits of this machine: a BLAS for arithmetic, a copy for memory. */
import { findBlas } from "../core/device.ts";
import { assign } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { fastest } from "./row.ts";

/** A maximum rate, and what it was measured with. */
export interface Ceiling {
  /** In 10⁹ operations or bytes per second. */
  readonly rate: number;
  /** What reached this rate. */
  readonly by: string;
}

const SGEMM = {
  cblas_sgemm: {
    parameters: [
      ...["i32", "i32", "i32", "i32", "i32", "i32"] as const,
      ...["f32", "buffer", "i32", "buffer", "i32", "f32", "buffer", "i32"] as const,
    ],
    result: "void",
  },
} as const;

const SIZE = 1024;
const RUNS = 8;

/** The rate of a BLAS on the CPU, for a matrix product of 1024³ in float32; undefined if there is no BLAS. */
export async function arithmeticCeiling(): Promise<Ceiling | undefined> {
  const blas = await findBlas();
  if (blas === undefined) return undefined;
  const library = Deno.dlopen(blas.path, SGEMM);
  blas.setThreads(navigator.hardwareConcurrency);
  const [a, b, c] = [1, 2, 3].map((value) => new Float32Array(SIZE * SIZE).fill(value));
  let least = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    // Row-major, without transposition.
    library.symbols.cblas_sgemm(101, 111, 111, SIZE, SIZE, SIZE, 1, a, SIZE, b, SIZE, 0, c, SIZE);
    least = Math.min(least, performance.now() - started);
  }
  blas.setThreads(1); // The device cpu requires this.
  library.close();
  return { rate: 2 * SIZE ** 3 / least / 1e6, by: blas.description };
}

const COPIED = 2 ** 25;

/** The rate at which a device copies 128 MiB, counting bytes read and written. */
export async function memoryCeiling(device: Device): Promise<Ceiling> {
  using _scope = device.scope();
  const [from, to] = ["from", "to"].map((name) => uniform(device, [COPIED], randomKey(1, name)));
  const ms = await fastest(device, RUNS, () => assign(to, from));
  return { rate: 2 * COPIED * 4 / ms / 1e6, by: "a copy" };
}
