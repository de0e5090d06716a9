/** Bytes at any place: of a file, or of a file on the web by requests for ranges. */
import { type FileHandle, open } from "node:fs/promises";
import { regularSize } from "../../files/regular_file.ts";

/** Bytes that are read by their places. */
export interface RandomAccess {
  /** How many there are. */
  readonly byteLength: number;
  /** Reads those from `start` on, up to `end` or the last.
   * @throws {RangeError} they do not lie in the file, or are more than 1 GiB
   */
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** Most bytes that are read at a time. */
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

/** The bytes of an open file, which stays the caller's to close.
 * @param byteLength the file's
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

/** The bytes of a file, which is opened for every read: there may be thousands.
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
 * @throws {Error} the server does not answer requests for ranges
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
