/** Tar archives (POSIX.1-1988 "ustar", with the long names of POSIX.1-2001 "pax" and of GNU), read from a source. */
import type { ByteSource } from "./byte_source.ts";

/** A file in an archive. */
export interface TarEntry {
  /** Its path in the archive, which never leads out of the archive. */
  readonly name: string;
  /** Its length in bytes. */
  readonly size: number;
  /** The offset of its first byte in the archive. */
  readonly offset: number;
}

/** The header of an entry. */
export interface TarHeader {
  /** The path. */
  readonly name: string;
  /** The number of bytes that follow, without the padding of the last block. */
  readonly size: number;
  /** The kind of entry: `0` for a file. */
  readonly type: string;
}

const BLOCK = 512;
/** The maximum number of bytes in a long name, or in the records that contain it. */
const MOST_NAME_BYTES = 2 ** 16;

const ascii = new TextDecoder("latin1");
const utf8 = new TextDecoder();

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return utf8.decode(end < 0 ? field : field.subarray(0, end));
}

/** A number of a header: octal digits, or, with the first bit set, a big-endian integer. */
function numberOf(field: Uint8Array): number {
  if (field[0] === 0x80) return field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  const digits = ascii.decode(field).replaceAll("\0", " ").trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : NaN;
}

/** Reads the header of an entry, 512 bytes. Undefined if it is all zeros, which marks the end of the archive.
 * @param archive the name of the archive in error messages
 * @throws {RangeError} the checksum is wrong, or the length is not a number
 */
export function readTarHeader(block: Uint8Array, archive: string): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const stated = numberOf(block.subarray(148, 156));
  const sum = block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (block.length !== BLOCK || sum !== stated) {
    throw new RangeError(
      `Cannot read ${archive}: every header of a tar archive must have its checksum, got ${stated} for ${sum}`,
    );
  }
  const size = numberOf(block.subarray(124, 136));
  if (!Number.isSafeInteger(size)) {
    throw new RangeError(
      `Cannot read ${archive}: the length of an entry must be a whole number, got ${size}`,
    );
  }
  const isUstar = ascii.decode(block.subarray(257, 263)) === "ustar\0";
  const prefix = isUstar ? textOf(block.subarray(345, 500)) : "";
  const name = textOf(block.subarray(0, 100));
  const type = String.fromCharCode(block[156] || 48);
  return { name: prefix === "" ? name : `${prefix}/${name}`, size, type };
}

/** Yields the files of an archive in order. When a file is yielded, its bytes are next in the source; bytes that the
 * caller does not read are skipped. Folders, links and devices are left out. Nothing is ever written.
 * @param archive the name of the archive in error messages
 * @throws {RangeError} the archive is truncated or broken, or a name leads out of the archive
 */
export async function* readTar(source: ByteSource, archive: string): AsyncGenerator<TarEntry> {
  let longName: string | undefined;
  while (true) {
    const block = await source.read(BLOCK);
    if (block.length === 0) return; // Some programs omit the closing blocks.
    if (block.length < BLOCK) throw cutShort(archive, BLOCK, block.length);
    const header = readTarHeader(block, archive);
    if (header === undefined) return;
    const { size, type } = header;
    const offset = source.position, end = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (type === "L" || type === "x") {
      longName = await readLongName(source, header, archive) ?? longName;
    } else {
      const name = longName ?? header.name;
      longName = undefined;
      if (type === "0" || type === "7") yield { name: checkName(name, archive), size, offset };
    }
    await source.skip(end - source.position);
    if (source.position < end) throw cutShort(archive, size, source.position - offset);
  }
}

function cutShort(archive: string, wanted: number, got: number): RangeError {
  return new RangeError(
    `Cannot read ${archive}: the archive must not be cut short, got ${got} of ${wanted} bytes`,
  );
}

/** The name that a GNU `L` entry or the records of a pax `x` entry give to the entry after them. */
async function readLongName(
  source: ByteSource,
  { size, type }: TarHeader,
  archive: string,
): Promise<string | undefined> {
  if (size > MOST_NAME_BYTES) {
    throw new RangeError(
      `Cannot read ${archive}: a name must have at most ${MOST_NAME_BYTES} bytes, got ${size}`,
    );
  }
  const bytes = await source.read(size);
  if (type === "L") return textOf(bytes);
  return utf8.decode(bytes).split("\n")
    .map((record) => record.match(/^\d+ path=(.*)$/)?.[1])
    .findLast((path) => path !== undefined);
}

function checkName(name: string, archive: string): string {
  const parts = name.split(/[/\\]/);
  if (
    name !== "" && !name.includes("\0") && parts[0] !== "" && !parts.includes("..") &&
    !/^[A-Za-z]:/.test(name)
  ) {
    return name;
  }
  throw new RangeError(
    `Cannot read ${archive}: the name of an entry must be a path inside the archive, got ${
      JSON.stringify(name.slice(0, 200))
    }`,
  );
}
