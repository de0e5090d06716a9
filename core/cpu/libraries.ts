/** Libraries of the system: finding them, and what they see of the kernels' memory. */

/** A kind of library. */
export interface LibraryKind<T> {
  /** What it is, with its article, for messages. */
  readonly name: string;
  /** What a library at a path must be. */
  readonly requirement: string;
  /** Where one may be. */
  readonly paths: () => readonly string[];
  /** Loads the one at a path, or throws. */
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
 * @param choice `auto` for the first that this system has, if foreign functions may be called; `off` for none; or a path
 * @returns undefined where there is none
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
    // Asked for, a permission that is neither given nor denied would stop the program with a question.
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    try {
      return load(path);
    } catch {
      // Not on this machine: the next one may be.
    }
  }
}

/** Where a memory begins in the process. Foreign functions may be called. */
export function baseOf(memory: WebAssembly.Memory): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(memory.buffer)));
}
