/** Unpacks gzip without trusting what it unpacks to. */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { regularSize } from "../../files/regular_file.ts";

/** A file may unpack to so many bytes, and to so many for each of its own: MNIST's images to five times as many. */
const FREE_BYTES = 3 * 2 ** 23, EXPANSION = 3;

/** So much is unpacked at a time. */
const CHUNK_BYTES = 2 ** 16;

/** The bytes that a gzip file unpacks to, as they come.
 * @param mostBytes how many they may be
 * @throws {RangeError} the file is no whole gzip file, or unpacks to more, or to more than 24 MiB and three times its
 * size
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
