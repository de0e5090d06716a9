/** Unpacks gzip without trusting what it unpacks to. */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";

/** The bytes that a gzip file unpacks to, as they come.
 * @param most how many they may be
 * @throws {RangeError} the file is no whole gzip file, or unpacks to more
 * @throws {Error} the file cannot be read
 */
export async function* unpackFile(path: string, most: number): AsyncGenerator<Uint8Array> {
  const packed = Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array<ArrayBuffer>>;
  let unpacked = 0;
  try {
    for await (const chunk of packed.pipeThrough(new DecompressionStream("gzip"))) {
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
  if (unpacked > most) {
    throw new RangeError(`Cannot unpack ${path}: it must hold at most ${most} bytes, got more`);
  }
}
