/** The system's BLAS: a library of matrix products, found and bound by Deno's foreign functions. */

/** Which BLAS: the first that is found, none, or the one at a path. */
export type BlasChoice = "auto" | "off" | (string & Record<never, never>);

/** What is called of a library; `optional` symbols are null where it lacks them. */
const SYMBOLS = {
  cblas_sgemm: {
    parameters: [
      ...["i32", "i32", "i32", "i32", "i32", "i32"] as const,
      ...["f32", "usize", "i32", "usize", "i32", "f32", "usize", "i32"] as const,
    ],
    result: "void",
  },
  openblas_get_config: { parameters: [], result: "pointer", optional: true },
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  MKL_Set_Num_Threads: { parameters: ["i32"], result: "void", optional: true },
} as const;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** What the WebAssembly module imports as `gemm`; see assembly/blas/gemm.ts. */
export type Gemm = (...numbers: number[]) => void;

/** A BLAS library that was found. */
export interface Blas {
  /** Its path, or the name by which the system finds it. */
  readonly path: string;
  /** What it is, for people. */
  readonly description: string;
  /** Sets the threads of its own that each product takes, where the library lets itself be told. */
  setThreads(threads: number): void;
}

/** Where a BLAS may be. The reference implementation, libblas, is not among them: it is slower than the kernels. */
function usualPlaces(): readonly string[] {
  switch (Deno.build.os) {
    case "darwin":
      return [
        "/System/Library/Frameworks/Accelerate.framework/Accelerate",
        "libopenblas.dylib",
      ];
    case "windows":
      return ["libopenblas.dll", "mkl_rt.2.dll"];
    default:
      return ["libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2", "libmkl_rt.so"];
  }
}

/** A library is never unloaded, as threads may be in it until they end. */
const loaded = new Map<string, Library>();

function load(path: string): Library {
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const library = Deno.dlopen(path, SYMBOLS);
  loaded.set(path, library);
  return library;
}

function describe({ symbols }: Library, path: string): string {
  const config = symbols.openblas_get_config?.() ?? null;
  return config === null ? path : `${Deno.UnsafePointerView.getCString(config)} (${path})`;
}

function bind(path: string): Blas {
  const library = load(path);
  const { openblas_set_num_threads, MKL_Set_Num_Threads } = library.symbols;
  return {
    path,
    description: describe(library, path),
    setThreads: (threads) => {
      openblas_set_num_threads?.(threads);
      MKL_Set_Num_Threads?.(threads);
    },
  };
}

/** Whether a library may be loaded without asking anybody. */
function allowed(path: string): boolean {
  return typeof Deno !== "undefined" &&
    Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/** Finds and loads a BLAS.
 * @returns undefined where the choice is `off`, or `auto` and there is none or foreign functions are not allowed
 * @throws {RangeError} the choice is a path that cannot be loaded
 */
export function findBlas(choice: BlasChoice = "auto"): Blas | undefined {
  if (choice === "off") return undefined;
  if (choice !== "auto") {
    try {
      return bind(choice);
    } catch (cause) {
      throw new RangeError(
        `Cannot use a BLAS: it must be auto, off or the path of a library with cblas_sgemm, got ${choice} (${
          cause instanceof Error ? cause.message : cause
        })`,
        { cause },
      );
    }
  }
  for (const path of usualPlaces()) {
    if (!allowed(path)) continue;
    try {
      return bind(path);
    } catch {
      // Not on this machine: the next one may be.
    }
  }
  return undefined;
}

/** What a thread needs to call a BLAS on a memory; it can be sent to a worker. */
export interface GemmSource {
  readonly path: string;
  readonly symbols: typeof SYMBOLS;
  /** Where the memory begins, in the process. */
  readonly base: bigint;
}

/** Prepares the calls of a BLAS on a WebAssembly memory. */
export function gemmSource({ path }: Blas, memory: WebAssembly.Memory): GemmSource {
  const pointer = Deno.UnsafePointer.of(new Uint8Array(memory.buffer));
  return { path, symbols: SYMBOLS, base: Deno.UnsafePointer.value(pointer) };
}

/** Binds a BLAS's product, on any thread. The workers run this function's own text, so it uses nothing from outside. */
export function bindGemm({ path, symbols, base }: GemmSource): Gemm {
  const { cblas_sgemm } = Deno.dlopen(path, symbols).symbols;
  const rowMajor = 101, asItIs = 111; // 112: transposed
  return (transposeA, transposeB, rows, columns, depth, a, strideA, b, strideB, add, c, strideC) =>
    cblas_sgemm(
      rowMajor,
      asItIs + transposeA,
      asItIs + transposeB,
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
