/** Writes a file atomically: a crash at any moment leaves either the complete old file or the complete new one. */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** The ending of names of files that are still being written. Such a file left over by a crash may be deleted. */
export const PARTIAL_SUFFIX = ".partial";

let written = 0;

/** Flushes the entries of a folder to the disk, on systems that can open folders. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  if (folder === undefined) return;
  try {
    await folder.sync();
  } catch {
    // Some file systems cannot sync a folder. The file itself is already safe.
  } finally {
    await folder.close();
  }
}

/** Replaces the contents of a file atomically: the bytes are written to `PATH.<process>-<count>.partial` in the same
 * folder and flushed to the disk. The file is then renamed, and the folder is flushed.
 *
 * @param contents the whole file; a string is written as UTF-8
 * @throws {Error} the file cannot be written; no partial file is left behind
 */
export async function writeAtomically(path: string, contents: Uint8Array | string): Promise<void> {
  const partial = `${path}.${Deno.pid}-${written++}${PARTIAL_SUFFIX}`;
  try {
    const file = await open(partial, "wx");
    try {
      await file.writeFile(contents);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot write ${path}: the folder must exist and be writable, got ${reason}`, {
      cause,
    });
  }
  await syncFolder(dirname(path));
}
