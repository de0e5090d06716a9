/** Files that can be read to their end: a named pipe or a device would be waited for, or never end. */
import { stat } from "node:fs/promises";

/** Refuses what is no regular file.
 * @returns its length in bytes
 * @throws {Error} it is not there, or something else
 */
export async function regularSize(path: string): Promise<number> {
  const found = await stat(path);
  if (found.isFile()) return found.size;
  const kind = found.isDirectory()
    ? "a folder"
    : found.isFIFO()
    ? "a named pipe"
    : found.isSocket()
    ? "a socket"
    : "a device";
  throw new Error(`Cannot read ${path}: it must be a regular file, got ${kind}`);
}
