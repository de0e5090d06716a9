/** What this machine can do at most, measured: a BLAS for arithmetic, a copy for memory. */
import { assign } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { randomKey } from "../core/random.ts";
import type { Device } from "../core/tensor.ts";
import { fastest } from "./row.ts";

/** A greatest rate, and what it was measured with. */
export interface Ceiling {
  /** 10⁹ operations, or bytes, a second. */
  readonly rate: number;
  /** What reached it. */
  readonly by: string;
}

/** Where a BLAS may be; the reference implementation of BLAS (libblas) is no ceiling. */
const LIBRARIES: readonly string[] = Deno.build.os === "darwin"
  ? ["/System/Library/Frameworks/Accelerate.framework/Accelerate", "libopenblas.dylib"]
  : Deno.build.os === "windows"
  ? ["libopenblas.dll", "mkl_rt.dll"]
  : ["libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2", "libmkl_rt.so"];

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

function openBlas():
  | { readonly path: string; readonly library: Deno.DynamicLibrary<typeof SGEMM> }
  | undefined {
  for (const path of LIBRARIES) {
    try {
      return { path, library: Deno.dlopen(path, SGEMM) };
    } catch {
      // Not on this machine: the next one may be.
    }
  }
}

/** The rate of a BLAS's matrix product 1024³ in float32, on the processor; undefined where none is found. */
export function arithmeticCeiling(): Ceiling | undefined {
  const blas = openBlas();
  if (blas === undefined) return undefined;
  const { path, library } = blas;
  const [a, b, c] = [1, 2, 3].map((value) => new Float32Array(SIZE * SIZE).fill(value));
  let least = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    // Row-major, neither transposed.
    library.symbols.cblas_sgemm(101, 111, 111, SIZE, SIZE, SIZE, 1, a, SIZE, b, SIZE, 0, c, SIZE);
    least = Math.min(least, performance.now() - started);
  }
  library.close();
  return { rate: 2 * SIZE ** 3 / least / 1e6, by: path };
}

const COPIED = 2 ** 25;

/** The rate at which a device copies 128 MiB, bytes read and written. */
export async function memoryCeiling(device: Device): Promise<Ceiling> {
  using _scope = device.scope();
  const [from, to] = ["from", "to"].map((name) => uniform(device, [COPIED], randomKey(1, name)));
  const ms = await fastest(device, RUNS, () => assign(to, from));
  return { rate: 2 * COPIED * 4 / ms / 1e6, by: "a copy" };
}
