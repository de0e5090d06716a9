/** Finds the system's oneDNN, and runs its primitives from every thread. */
import { usualDnnPaths } from "../../library_paths.ts";
import { findLibrary, type LibraryKind } from "../libraries.ts";

/** The functions that threads call; `optional` symbols are null if the library lacks them. */
const THREAD_SYMBOLS = {
  omp_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  dnnl_stream_create: { parameters: ["buffer", "usize", "u32"], result: "i32" },
  dnnl_primitive_execute: { parameters: ["usize", "usize", "i32", "usize"], result: "i32" },
} as const;

/** The functions of the library, version 2. Descriptions, handles and lists are passed by address. */
const SYMBOLS = {
  ...THREAD_SYMBOLS,
  dnnl_version: { parameters: [], result: "pointer" },
  dnnl_engine_create: { parameters: ["buffer", "i32", "usize"], result: "i32" },
  dnnl_primitive_attr_create: { parameters: ["buffer"], result: "i32" },
  dnnl_primitive_attr_set_scratchpad_mode: { parameters: ["usize", "i32"], result: "i32" },
  dnnl_primitive_attr_set_post_ops: { parameters: ["usize", "usize"], result: "i32" },
  dnnl_post_ops_create: { parameters: ["buffer"], result: "i32" },
  dnnl_post_ops_append_eltwise: {
    parameters: ["usize", "f32", "i32", "f32", "f32"],
    result: "i32",
  },
  dnnl_memory_desc_init_by_strides: {
    parameters: ["buffer", "i32", "buffer", "i32", "buffer"],
    result: "i32",
  },
  dnnl_memory_desc_init_by_tag: {
    parameters: ["buffer", "i32", "buffer", "i32", "i32"],
    result: "i32",
  },
  dnnl_memory_desc_init_submemory: {
    parameters: ["buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  dnnl_memory_desc_get_size: { parameters: ["buffer"], result: "usize" },
  dnnl_dilated_convolution_forward_desc_init: {
    parameters: [
      ...["buffer", "i32", "i32", "buffer", "buffer", "buffer", "buffer"] as const,
      ...["buffer", "buffer", "buffer", "buffer"] as const,
    ],
    result: "i32",
  },
  dnnl_dilated_convolution_backward_data_desc_init: {
    parameters: [
      ...["buffer", "i32", "buffer", "buffer", "buffer"] as const,
      ...["buffer", "buffer", "buffer", "buffer"] as const,
    ],
    result: "i32",
  },
  dnnl_dilated_convolution_backward_weights_desc_init: {
    parameters: [
      ...["buffer", "i32", "buffer", "buffer", "buffer", "buffer"] as const,
      ...["buffer", "buffer", "buffer", "buffer"] as const,
    ],
    result: "i32",
  },
  dnnl_primitive_desc_create: {
    parameters: ["buffer", "buffer", "usize", "usize", "usize"],
    result: "i32",
  },
  dnnl_reorder_primitive_desc_create: {
    parameters: ["buffer", "buffer", "usize", "buffer", "usize", "usize"],
    result: "i32",
  },
  dnnl_primitive_desc_query: { parameters: ["usize", "i32", "i32", "buffer"], result: "i32" },
  dnnl_primitive_desc_query_md: { parameters: ["usize", "i32", "i32"], result: "pointer" },
  dnnl_primitive_desc_destroy: { parameters: ["usize"], result: "i32" },
  dnnl_primitive_create: { parameters: ["buffer", "usize"], result: "i32" },
  dnnl_primitive_destroy: { parameters: ["usize"], result: "i32" },
  dnnl_memory_create: { parameters: ["buffer", "buffer", "usize", "usize"], result: "i32" },
  dnnl_memory_set_data_handle: { parameters: ["usize", "usize"], result: "i32" },
  dnnl_memory_destroy: { parameters: ["usize"], result: "i32" },
} as const;

/** The library's functions. */
export type DnnSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** What a thread needs to run primitives; it can be sent to a worker. */
export interface ExecuteSource {
  /** The library. */
  readonly path: string;
  /** Its symbols. */
  readonly symbols: typeof THREAD_SYMBOLS;
  /** The engine on the processor. */
  readonly engine: bigint;
}

/** A loaded oneDNN. */
export interface Dnn {
  /** Its path, or the name under which the system finds it. */
  readonly path: string;
  /** A description of the library. */
  readonly description: string;
  /** Its functions. */
  readonly symbols: DnnSymbols;
  /** What threads need to call it. */
  readonly source: ExecuteSource;
}

const SEQUENTIAL = 1, OPEN_MP = 2; // the threading kinds for which each caller can set the number of threads
const CPU = 1; // dnnl_cpu

/** The libraries by path. They stay loaded until the process ends, since threads may still be running inside them. */
const libraries = new Map<string, Dnn>();

function load(path: string): Dnn {
  const known = libraries.get(path);
  if (known !== undefined) return known;
  const { symbols } = Deno.dlopen(path, SYMBOLS);
  const pointer = symbols.dnnl_version();
  if (pointer === null) throw new Error("it does not report its version");
  const view = new Deno.UnsafePointerView(pointer);
  const [major, minor, patch] = [0, 4, 8].map((offset) => view.getInt32(offset));
  const version = `${major}.${minor}.${patch}`, runtime = view.getUint32(24);
  if (major !== 2) throw new Error(`its version is ${version}`);
  if (runtime === OPEN_MP ? symbols.omp_set_num_threads === null : runtime !== SEQUENTIAL) {
    throw new Error(`its threading runtime is of kind ${runtime}`);
  }
  const engine = created((to) => symbols.dnnl_engine_create(to, CPU, 0n));
  const dnn: Dnn = {
    path,
    description: `oneDNN ${version} (${path})`,
    symbols,
    source: { path, symbols: THREAD_SYMBOLS, engine },
  };
  libraries.set(path, dnn);
  return dnn;
}

/** Checks what a function of the library returned.
 * @throws {Error} the call failed
 */
export function succeed(status: number): void {
  if (status !== 0) throw new Error(`Cannot call oneDNN: the status must be 0, got ${status}`);
}

/** The handle that a function of the library wrote to a given address.
 * @throws {Error} the call failed
 */
export function created(make: (to: BigUint64Array<ArrayBuffer>) => number): bigint {
  const to = new BigUint64Array(1);
  succeed(make(to));
  return to[0];
}

const KIND: LibraryKind<Dnn> = {
  name: "a oneDNN",
  requirement: "a library that can be loaded and is oneDNN 2 with OpenMP or without threads",
  paths: usualDnnPaths,
  load,
};

/** Finds and loads oneDNN.
 *
 * ```ts
 * import { findDnn } from "./library.ts";
 * console.log(findDnn("auto")?.description ?? "none");
 * ```
 * @param choice `auto` for the first one found, if foreign functions are allowed; `off` for none; or the path of a
 * library
 * @returns undefined if there is none
 * @throws {RangeError} the library at the path cannot be loaded, is not oneDNN, or cannot be limited to one thread
 */
export function findDnn(choice: string): Dnn | undefined {
  return findLibrary(KIND, choice);
}

/** What the kernels import as `execute`; see assembly/dnn/tasks.ts. */
export type Execute = (primitive: bigint, count: number, operands: bigint) => void;

/** Runs primitives on the calling thread only. Workers get this function as source text, so it must not refer to
 * anything outside its own body. */
export function bindExecute({ path, symbols, engine }: ExecuteSource): Execute {
  const library = Deno.dlopen(path, symbols).symbols;
  library.omp_set_num_threads?.(1);
  const stream = new BigUint64Array(1), usual = 1;
  const status = library.dnnl_stream_create(stream, engine, usual);
  if (status !== 0) throw new Error(`Cannot open a oneDNN stream: it must succeed, got ${status}`);
  return (primitive, count, operands) => {
    const status = library.dnnl_primitive_execute(primitive, stream[0], count, operands);
    if (status !== 0) throw new Error(`Cannot run oneDNN: it must succeed, got status ${status}`);
  };
}
