/** Finds system libraries, and gives them access to the kernels' memory. */

/** A kind of library. */
export interface LibraryKind<T> {
  /** Its name with an article, for messages. */
  readonly name: string;
  /** What a library at a path must be. */
  readonly requirement: string;
  /** The usual paths. */
  readonly paths: () => readonly string[];
  /** Loads the library at a path, or throws. */
  readonly load: (path: string) => T;
}

/** Finds and loads a library.
 *
 * ```ts
 * import { findLibrary } from "./libraries.ts";
 * import assert from "node:assert/strict";
 * const kind = { name: "a library", requirement: "one", paths: () => [], load: (path: string) => path };
 * assert.equal(findLibrary(kind, "auto"), undefined);
 * assert.equal(findLibrary(kind, "/opt/library.so"), "/opt/library.so");
 * ```
 * @param choice `auto` for the first one found, if foreign functions are allowed; `off` for none; or a path
 * @returns undefined if there is none
 * @throws {RangeError} the library at the path cannot be loaded
 */
export function findLibrary<T>(kind: LibraryKind<T>, choice: string): T | undefined {
  if (choice === "off" || choice === "auto" && !("Deno" in globalThis)) return undefined;
  if (choice === "auto") return findUsual(kind);
  try {
    return kind.load(choice);
  } catch (cause) {
    throw new RangeError(
      `Cannot use ${kind.name}: it must be auto, off or ${kind.requirement}, got ${choice} (${
        cause instanceof Error ? cause.message : cause
      })`,
      { cause },
    );
  }
}

function findUsual<T>({ paths, load }: LibraryKind<T>): T | undefined {
  for (const path of paths()) {
    // Requesting a permission that is neither granted nor denied would stop the program with a prompt.
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    try {
      return load(path);
    } catch {
      // Not on this machine: try the next one.
    }
  }
}

/** The address of a memory in the process. Needs permission for foreign functions. */
export function baseOf(memory: WebAssembly.Memory): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(memory.buffer)));
}
