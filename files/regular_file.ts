/** A check for regular files. Reading a named pipe or a device could block or never end. */
import { stat } from "node:fs/promises";

/** Rejects anything but a regular file.
 * @returns its length in bytes
 * @throws {Error} the path does not exist or is not a regular file
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
