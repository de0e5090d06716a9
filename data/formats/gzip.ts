/** Unpacks gzip with limits on the unpacked size. */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { regularSize } from "../../files/regular_file.ts";

/** The maximum unpacked size: a constant, plus a number of bytes per packed byte. MNIST's images unpack to five times
 * their size. */
const FREE_BYTES = 3 * 2 ** 23, EXPANSION = 3;

/** How many bytes are unpacked at a time. */
const CHUNK_BYTES = 2 ** 16;

/** Yields the unpacked bytes of a gzip file.
 * @param mostBytes the maximum number of bytes
 * @throws {RangeError} the file is not a complete gzip file, or unpacks to more than that, or to more than 24 MiB plus
 * three times its size
 * @throws {Error} the file cannot be read
 */
export async function* unpackFile(path: string, mostBytes: number): AsyncGenerator<Uint8Array> {
  const most = Math.min(mostBytes, FREE_BYTES + EXPANSION * await regularSize(path));
  const packed = createReadStream(path), unpacking = createGunzip({ chunkSize: CHUNK_BYTES });
  packed.on("error", (error) => unpacking.destroy(error)).pipe(unpacking);
  let unpacked = 0;
  try {
    for await (const chunk of unpacking) {
      unpacked += chunk.length;
      if (unpacked > most) break;
      yield chunk;
    }
  } catch (cause) {
    throw new RangeError(
      `Cannot unpack ${path}: it must be a whole gzip file, got ${(cause as Error).message}`,
      { cause },
    );
  }
  packed.destroy();
  if (unpacked > most) {
    throw new RangeError(`Cannot unpack ${path}: it must hold at most ${most} bytes, got more`);
  }
}
