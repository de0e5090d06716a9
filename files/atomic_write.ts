/** Writes a file so that a kill at any moment leaves either the old file or the new one, whole. */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** How the names of files that are still being written end; one left over by a kill may be deleted. */
export const PARTIAL_SUFFIX = ".partial";

let written = 0;

/** Makes the entries of a folder last through a loss of power, where the system lets folders be opened. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  if (folder === undefined) return;
  try {
    await folder.sync();
  } catch {
    // Some file systems refuse to sync a folder; the file itself is already safe.
  } finally {
    await folder.close();
  }
}

/** Replaces the contents of a file in one step: the bytes go to `PATH.<process>-<count>.partial` in the same
 * folder, are flushed to the disk, and take the file's name; then the folder is flushed.
 *
 * @param contents the whole file; a string is written as UTF-8
 * @throws {Error} the file cannot be written; nothing partial stays behind
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
