/** Finds the system's BLAS, and calls its matrix product from every thread. */

import { usualBlasPaths } from "../library_paths.ts";
import { baseOf, findLibrary, type LibraryKind } from "./libraries.ts";

/** The functions of the library; `optional` symbols are null if it lacks them. */
const SYMBOLS = {
  cblas_sgemm: {
    parameters: [
      ...["i32", "i32", "i32", "i32", "i32", "i32"] as const,
      ...["f32", "usize", "i32", "usize", "i32", "f32", "usize", "i32"] as const,
    ],
    result: "void",
  },
  openblas_get_config: { parameters: [], result: "pointer", optional: true },
  openblas_get_corename: { parameters: [], result: "pointer", optional: true },
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  MKL_Set_Num_Threads: { parameters: ["i32"], result: "void", optional: true },
} as const;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** A loaded BLAS library. */
export interface Blas {
  /** Its path, or the name under which the system finds it. */
  readonly path: string;
  /** A description of the library. */
  readonly description: string;
  /** Sets how many of the library's own threads a product uses, for the whole process, if the library allows that. */
  setThreads(threads: number): void;
}

/** The libraries by path. They stay loaded until the process ends, since threads may still be running inside them. */
const libraries = new Map<string, Blas>();

function load(path: string): Blas {
  const known = libraries.get(path);
  if (known !== undefined) return known;
  const { symbols } = Deno.dlopen(path, SYMBOLS);
  const blas: Blas = {
    path,
    description: describe(symbols, path),
    setThreads: (threads) => {
      symbols.openblas_set_num_threads?.(threads);
      symbols.MKL_Set_Num_Threads?.(threads);
    },
  };
  libraries.set(path, blas);
  return blas;
}

function describe(symbols: Library["symbols"], path: string): string {
  const [config, core] = [symbols.openblas_get_config, symbols.openblas_get_corename].map(
    (text) => {
      const pointer = text?.() ?? null;
      return pointer === null ? undefined : Deno.UnsafePointerView.getCString(pointer);
    },
  );
  if (config === undefined) return path;
  const [name, version] = config.split(" ");
  return `${name} ${version}${core === undefined ? "" : ` for ${core}`} (${path})`;
}

const KIND: LibraryKind<Blas> = {
  name: "a BLAS",
  requirement: "a library that can be loaded and has cblas_sgemm",
  paths: usualBlasPaths,
  load,
};

/** Finds and loads a BLAS.
 *
 * ```ts
 * import { findBlas } from "./blas.ts";
 * console.log(findBlas("auto")?.description ?? "none");
 * ```
 * @param choice `auto` for the first one found, if foreign functions are allowed; `off` for none; or the path of a
 * library
 * @returns undefined if there is none
 * @throws {RangeError} the library at the path cannot be loaded, or lacks `cblas_sgemm`
 */
export function findBlas(choice: string): Blas | undefined {
  return findLibrary(KIND, choice);
}

/** What a thread needs to call a BLAS's product; it can be sent to a worker. */
export interface GemmSource {
  /** The library. */
  readonly path: string;
  /** Its symbols. */
  readonly symbols: typeof SYMBOLS;
  /** The address of the kernels' memory in the process. */
  readonly base: bigint;
}

/** Prepares the calls of a BLAS on the memory of the kernels. */
export function gemmSource({ path }: Blas, memory: WebAssembly.Memory): GemmSource {
  return { path, symbols: SYMBOLS, base: baseOf(memory) };
}

/** What the kernels import as `gemm`; see assembly/blas/gemm.ts. */
export type Gemm = (...numbers: number[]) => void;

/** Binds a BLAS's matrix product for the calling thread. Workers get this function as source text, so it must not refer
 * to anything outside its own body. */
export function bindGemm({ path, symbols, base }: GemmSource): Gemm {
  const { cblas_sgemm } = Deno.dlopen(path, symbols).symbols;
  const rowMajor = 101, asItLies = 111; // and 112 for transposed
  return (transposeA, transposeB, rows, columns, depth, a, strideA, b, strideB, add, c, strideC) =>
    cblas_sgemm(
      rowMajor,
      asItLies + transposeA,
      asItLies + transposeB,
      rows,
      columns,
      depth,
      1,
      base + BigInt(a >>> 0),
      strideA,
      base + BigInt(b >>> 0),
      strideB,
      add,
      base + BigInt(c >>> 0),
      strideC,
    );
}
