/** Random access to the bytes of a file, or of a file on the web by range requests. */
import { type FileHandle, open } from "node:fs/promises";
import { regularSize } from "../../files/regular_file.ts";

/** Bytes that can be read at any position. */
export interface RandomAccess {
  /** The number of bytes. */
  readonly byteLength: number;
  /** Reads the bytes from `start` to `end`, or to the last.
   * @throws {RangeError} they are not within the file, or are more than 1 GiB
   */
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** The maximum number of bytes per read. */
const MOST_BYTES = 2 ** 30;

function checkRange(start: number, end: number, byteLength: number): void {
  if (start >= 0 && start <= end && end <= byteLength && end - start <= MOST_BYTES) return;
  throw new RangeError(
    `its parts must lie in its ${byteLength} bytes and have at most ${MOST_BYTES}, got ${start} to ${end}`,
  );
}

/** The bytes of an array. */
export function bytesAccess(bytes: Uint8Array<ArrayBuffer>): RandomAccess {
  const { length: byteLength } = bytes;
  return {
    byteLength,
    async slice(start, end = byteLength) {
      checkRange(start, end, byteLength);
      return await Promise.resolve(bytes.slice(start, end).buffer);
    },
  };
}

/** The bytes of an open file. The caller must close the file.
 * @param byteLength the length of the file
 */
export function handleAccess(file: FileHandle, byteLength: number): RandomAccess {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      checkRange(start, end, byteLength);
      const bytes = new Uint8Array(end - start);
      for (let filled = 0; filled < bytes.length;) {
        const left = bytes.length - filled;
        const { bytesRead } = await file.read(bytes, filled, left, start + filled);
        if (bytesRead === 0) throw new RangeError(`it must have ${byteLength} bytes, got less`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

/** The bytes of a file. It is opened for every read, because there may be thousands of files.
 * @throws {Error} the file cannot be read
 */
export async function fileAccess(path: string): Promise<RandomAccess> {
  const byteLength = await regularSize(path);
  return {
    byteLength,
    async slice(start, end) {
      await using file = await open(path);
      return await handleAccess(file, byteLength).slice(start, end);
    },
  };
}

/** The bytes of a file on the web.
 * @throws {Error} the server does not support range requests
 */
export async function webAccess(address: string): Promise<RandomAccess> {
  const request = async (range: string) => {
    const response = await fetch(address, { headers: { range, "accept-encoding": "identity" } });
    if (response.status === 206) return response;
    await response.body?.cancel();
    throw new Error(
      `Cannot read ${address}: the server must answer requests for ranges, got ${response.status}`,
    );
  };
  const first = await request("bytes=0-0");
  await first.body?.cancel();
  const byteLength = Number(first.headers.get("content-range")?.split("/")[1] ?? NaN);
  return {
    byteLength,
    async slice(start, end = byteLength) {
      checkRange(start, end, byteLength);
      if (start === end) return new ArrayBuffer(0);
      const bytes = await (await request(`bytes=${start}-${end - 1}`)).arrayBuffer();
      if (bytes.byteLength === end - start) return bytes;
      throw new RangeError(`the server must give ${end - start} bytes, got ${bytes.byteLength}`);
    },
  };
}
