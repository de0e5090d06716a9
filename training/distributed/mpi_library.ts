/** Finds the system's MPI library and defines its handles. */

/** A launcher of processes: the environment variables that give a process its rank, and the MPI library that it belongs
 * to. */
interface Launcher {
  readonly name: string;
  readonly rank: string;
  readonly size: string | undefined;
  readonly libraries: readonly string[];
}

const OPEN_MPI = ["libmpi.so.40", "libmpi.40.dylib", "libmpi.so", "libmpi.dylib"];
const MPICH = ["libmpich.so.12", "libmpi.so.12", "libmpich.so", "libmpi.12.dylib", "libmpi.so"];

const LAUNCHERS: readonly Launcher[] = [
  {
    name: "Open MPI's mpirun",
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
    libraries: OPEN_MPI,
  },
  { name: "MPICH's mpirun", rank: "PMI_RANK", size: "PMI_SIZE", libraries: MPICH },
  { name: "PMIx", rank: "PMIX_RANK", size: undefined, libraries: [...OPEN_MPI, ...MPICH] },
];

/** The environment variables that are read; a program needs permission for them (`--allow-env`). */
export const MPI_VARIABLES: readonly string[] = LAUNCHERS.flatMap(({ rank, size }) =>
  size === undefined ? [rank] : [rank, size]
);

/** How this process was started. */
export interface Launch {
  /** A readable name of the launcher. */
  readonly by: string;
  /** The number of this process. */
  readonly rank: number;
  /** The number of processes, if the launcher gives it. */
  readonly size: number | undefined;
  /** The names of the launcher's libraries. */
  readonly libraries: readonly string[];
}

/** Finds out which MPI launcher started this process.
 *
 * ```ts
 * import { findLaunch } from "@codebook/codebook";
 * console.log(findLaunch()?.rank ?? "not started by mpirun");
 * ```
 * @returns undefined if no launcher started it
 */
export function findLaunch(): Launch | undefined {
  for (const { name, rank, size, libraries } of LAUNCHERS) {
    const own = Deno.env.get(rank);
    if (own === undefined) continue;
    const count = size === undefined ? undefined : Deno.env.get(size);
    return {
      by: name,
      rank: Number(own),
      size: count === undefined ? undefined : Number(count),
      libraries,
    };
  }
}

/** The type of MPI's handles: addresses (Open MPI), or numbers fixed by the ABI of MPICH. */
type HandleType = "usize" | "i32";

const symbolsOf = (handle: HandleType) => ({
  MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
  MPI_Initialized: { parameters: ["buffer"], result: "i32" },
  MPI_Finalize: { parameters: [], result: "i32" },
  MPI_Abort: { parameters: [handle, "i32"], result: "i32" },
  MPI_Comm_rank: { parameters: [handle, "buffer"], result: "i32" },
  MPI_Comm_size: { parameters: [handle, "buffer"], result: "i32" },
  MPI_Get_library_version: { parameters: ["buffer", "buffer"], result: "i32" },
  MPI_Iallreduce: {
    parameters: ["pointer", "pointer", "i32", handle, handle, handle, "pointer"],
    result: "i32",
  },
  MPI_Test: { parameters: ["pointer", "buffer", "pointer"], result: "i32" },
  MPI_Allreduce: {
    parameters: ["pointer", "pointer", "i32", handle, handle, handle],
    result: "i32",
  },
  MPI_Bcast: { parameters: ["pointer", "i32", handle, "i32", handle], result: "i32" },
  MPI_Allgather: {
    parameters: ["pointer", "i32", handle, "pointer", "i32", handle, handle],
    result: "i32",
  },
} as const);

/** The functions of an MPI library. */
export type MpiFunctions = Deno.DynamicLibrary<ReturnType<typeof symbolsOf>>["symbols"];

/** A handle in the type that its library takes. */
export type Handle = number | bigint;

/** Constants that differ between the libraries. */
interface Constants {
  /** The communicator of all ranks. */
  readonly world: Handle;
  /** The operation of a sum. */
  readonly sum: Handle;
  /** The operation of a maximum. */
  readonly max: Handle;
  /** The float32 element type. */
  readonly float32: Handle;
  /** The same. */
  readonly float64: Handle;
  /** The same. */
  readonly int32: Handle;
  /** The marker for replacing the values in place. */
  readonly inPlace: Deno.PointerValue;
  /** The marker for a status that is not needed. */
  readonly ignored: Deno.PointerValue;
}

/** An MPI library that was found. */
export interface Mpi {
  /** Its path, or the name under which the system finds it. */
  readonly path: string;
  /** The library's own description. */
  readonly description: string;
}

/** An MPI library with the functions used here. */
export interface MpiLibrary extends Mpi, Constants {
  /** Its functions. */
  readonly functions: MpiFunctions;
}

/** The addresses of Open MPI's handles, which are variables of the library. */
const OPEN_MPI_HANDLES = {
  ompi_mpi_comm_world: { type: "pointer" },
  ompi_mpi_op_sum: { type: "pointer" },
  ompi_mpi_op_max: { type: "pointer" },
  ompi_mpi_float: { type: "pointer" },
  ompi_mpi_double: { type: "pointer" },
  ompi_mpi_int: { type: "pointer" },
} as const;

function openMpiConstants(path: string): Constants {
  const { symbols } = Deno.dlopen(path, OPEN_MPI_HANDLES);
  return {
    world: Deno.UnsafePointer.value(symbols.ompi_mpi_comm_world),
    sum: Deno.UnsafePointer.value(symbols.ompi_mpi_op_sum),
    max: Deno.UnsafePointer.value(symbols.ompi_mpi_op_max),
    float32: Deno.UnsafePointer.value(symbols.ompi_mpi_float),
    float64: Deno.UnsafePointer.value(symbols.ompi_mpi_double),
    int32: Deno.UnsafePointer.value(symbols.ompi_mpi_int),
    inPlace: Deno.UnsafePointer.create(1n),
    ignored: null,
  };
}

/** The constants of the common ABI of MPICH, Intel MPI and MVAPICH. */
const mpichConstants = (): Constants => ({
  world: 0x44000000,
  sum: 0x58000003,
  max: 0x58000001,
  float32: 0x4c00040a,
  float64: 0x4c00080b,
  int32: 0x4c000405,
  inPlace: Deno.UnsafePointer.create(2n ** 64n - 1n),
  ignored: Deno.UnsafePointer.create(1n),
});

function isOpenMpi(path: string): boolean {
  const { symbols } = Deno.dlopen(path, {
    ompi_mpi_comm_world: { type: "pointer", optional: true },
  });
  return symbols.ompi_mpi_comm_world !== null;
}

function load(path: string): MpiLibrary {
  const open = isOpenMpi(path);
  const { symbols: functions } = Deno.dlopen(path, symbolsOf(open ? "usize" : "i32"));
  const constants = open ? openMpiConstants(path) : mpichConstants();
  return { path, description: describe(functions), functions, ...constants };
}

/** `RTLD_NOW | RTLD_NODELETE` of the systems that have it, and the libraries that have `dlopen`. */
const PINNING: Readonly<Record<string, { flags: number; libraries: readonly string[] }>> = {
  linux: { flags: 0x1002, libraries: ["libc.so.6", "libdl.so.2"] },
  darwin: { flags: 0x82, libraries: ["libSystem.B.dylib"] },
};

/** Keeps a library in memory until the process ends. When Deno exits after an error, it unloads libraries, while MPI's
 * threads may still run in them: the process would crash before it reports the error. */
export function pinLibrary(path: string): void {
  const { flags, libraries } = PINNING[Deno.build.os] ?? { flags: 0, libraries: [] };
  for (const system of libraries) {
    if (Deno.permissions.querySync({ name: "ffi", path: system }).state !== "granted") continue;
    try {
      const { symbols } = Deno.dlopen(system, {
        dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
      });
      if (symbols.dlopen(new TextEncoder().encode(`${path}\0`), flags) !== null) return;
    } catch {
      // Not in this library: the next one may have it.
    }
  }
}

/** Size of the buffer for a library's description; MPI guarantees at most 8,192 bytes. */
const VERSION_BYTES = 8192;

function describe(functions: MpiFunctions): string {
  const text = new Uint8Array(VERSION_BYTES), length = new Int32Array(1);
  functions.MPI_Get_library_version(text, length);
  const words = new TextDecoder().decode(text.subarray(0, length[0])).replace(/\0.*$/s, "");
  const [first] = words.split(/,|\n/);
  return first.replace(/\s+/g, " ").trim();
}

/** Finds an MPI library.
 *
 * ```ts
 * import { findMpi } from "@codebook/codebook";
 * console.log(findMpi()?.description ?? "none");
 * ```
 * @param choice `auto` for the first of the usual names that this system has; or the path of a library
 * @param names the usual names; by default Open MPI's, then MPICH's
 * @returns undefined if none of the names is found, or calls of foreign functions are not permitted
 * @throws {RangeError} the library at the path cannot be loaded, or is not an MPI library
 */
export function findMpi(
  choice: string = "auto",
  names: readonly string[] = [...OPEN_MPI, ...MPICH],
): Mpi | undefined {
  return loadMpi(choice, names);
}

/** Finds an MPI library as `findMpi` does, and returns it with its functions. */
export function loadMpi(choice: string, names: readonly string[]): MpiLibrary | undefined {
  if (choice !== "auto") {
    try {
      return load(choice);
    } catch (cause) {
      throw new RangeError(
        `Cannot use MPI: it must be auto or a library that can be loaded and has MPI's functions, got ${choice} (${
          cause instanceof Error ? cause.message : cause
        })`,
        { cause },
      );
    }
  }
  for (const path of names) {
    // If a permission is neither granted nor denied, using it would stop the program with a prompt.
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    try {
      return load(path);
    } catch {
      // Not on this machine: the next name may be.
    }
  }
}
