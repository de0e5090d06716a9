/** ZIP archives in memory, as PyTorch and NumPy write them. Entries are stored or deflated. Encryption and archives
 * over 4 GiB are not supported. Nothing is ever written to a path named in an archive.
 *
 * Source: PKWARE's APPNOTE 6.3, sections 4.3.7 to 4.3.16.
 */
import { crc32, inflateRawSync } from "node:zlib";

const END = 0x06054b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50;
const END_BYTES = 22, ENTRY_BYTES = 46, LOCAL_BYTES = 30;
/** The maximum length of the comment after the directory. */
const MOST_COMMENT = 0xffff;
const STORED = 0, DEFLATED = 8;
/** The maximum unpacked size of all entries in bytes: a constant, plus a number of bytes per byte of the archive. */
const FREE_BYTES = 3 * 2 ** 23, EXPANSION = 3;

/** An entry of an archive. */
interface Entry {
  readonly name: string;
  readonly method: number;
  readonly checksum: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** The offset of its local header. */
  readonly header: number;
  readonly start: number;
}

/** An archive. The directory is read at once; entries are unpacked on request. */
export class ZipArchive {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #source: string;
  readonly #entries = new Map<string, Entry>();

  /** Reads the directory.
   * @param source the name of the bytes in error messages: a path
   * @throws {RangeError} the bytes are not a ZIP archive, its directory is inconsistent, entries overlap, or together
   * they unpack to more than 24 MiB plus three times the archive
   */
  constructor(bytes: Uint8Array, source: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
    const end = this.#findEnd();
    const count = this.#view.getUint16(end + 10, true);
    const directory = this.#view.getUint32(end + 16, true);
    let at = directory;
    for (let entry = 0; entry < count; entry++) at = this.#readEntry(at, end);
    this.#checkExtent(directory);
  }

  /** The names of the entries, in the directory's order. */
  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Unpacks an entry and checks its checksum.
   * @param mostBytes the maximum unpacked size
   * @returns the unpacked bytes; a view of the archive if the entry is not compressed
   * @throws {RangeError} there is no entry of that name, or it is too large, damaged, or compressed by another method
   */
  read(name: string, mostBytes: number): Uint8Array {
    const entry = this.#entries.get(name);
    if (entry === undefined) return this.#fail(`it must hold ${show(name)}`, "no such entry");
    const { method, start, packedBytes, bytes: wanted } = entry;
    if (wanted > mostBytes) {
      return this.#fail(`${show(name)} must have at most ${mostBytes} bytes`, `${wanted}`);
    }
    const packed = this.#bytes.subarray(start, start + packedBytes);
    let bytes: Uint8Array;
    if (method === STORED) bytes = packed;
    else if (method !== DEFLATED) {
      return this.#fail(`${show(name)} must be stored or deflated`, `method ${method}`);
    } else {
      try {
        const limit = { maxOutputLength: Math.max(1, wanted), chunkSize: Math.max(64, wanted) };
        const { buffer, byteOffset, length } = inflateRawSync(packed, limit);
        bytes = new Uint8Array(buffer, byteOffset, length);
      } catch (cause) {
        return this.#fail(
          `${show(name)} must unpack to ${wanted} bytes`,
          (cause as Error).message,
        );
      }
    }
    if (bytes.length !== wanted || crc32(bytes) !== entry.checksum) {
      return this.#fail(`${show(name)} must match its checksum`, "other bytes: it is damaged");
    }
    return bytes;
  }

  /** Finds the archive's last record. The search runs backwards, since a comment may follow the record. */
  #findEnd(): number {
    const last = this.#bytes.length - END_BYTES;
    for (let at = last; at >= Math.max(0, last - MOST_COMMENT); at--) {
      if (this.#view.getUint32(at, true) === END) return at;
    }
    return this.#fail("it must be a ZIP archive", "no end of a directory: it may be truncated");
  }

  /** Reads an entry of the directory and returns the offset of the next. */
  #readEntry(at: number, end: number): number {
    const view = this.#view;
    if (at + ENTRY_BYTES > end || view.getUint32(at, true) !== ENTRY) {
      return this.#fail("its directory must lie before its end", `no entry at byte ${at}`);
    }
    const nameBytes = view.getUint16(at + 28, true);
    const next = at + ENTRY_BYTES + nameBytes + view.getUint16(at + 30, true) +
      view.getUint16(at + 32, true);
    if (next > end) {
      return this.#fail("its directory must end before its last record", "a longer one");
    }
    const nameStart = at + ENTRY_BYTES;
    const name = new TextDecoder().decode(this.#bytes.subarray(nameStart, nameStart + nameBytes));
    const local = view.getUint32(at + 42, true);
    const packedBytes = view.getUint32(at + 20, true), bytes = view.getUint32(at + 24, true);
    const method = view.getUint16(at + 10, true);
    if (local + LOCAL_BYTES > end || view.getUint32(local, true) !== LOCAL) {
      return this.#fail(`${show(name)} must lie within it`, `no header at byte ${local}`);
    }
    const start = local + LOCAL_BYTES + view.getUint16(local + 26, true) +
      view.getUint16(local + 28, true);
    if (start + packedBytes > end || method === STORED && bytes !== packedBytes) {
      return this.#fail(`${show(name)} must lie within it`, `${packedBytes} bytes at ${start}`);
    }
    if (this.#entries.has(name)) return this.#fail("every name must appear once", show(name));
    const checksum = view.getUint32(at + 16, true);
    this.#entries.set(name, { name, method, checksum, packedBytes, bytes, header: local, start });
    return next;
  }

  /** Rejects entries that overlap each other or the directory, and archives that unpack to too much. */
  #checkExtent(directory: number): void {
    const entries = [...this.#entries.values()].sort((a, b) => a.header - b.header);
    let end = 0, unpacked = 0;
    for (const { name, header, start, packedBytes, bytes } of entries) {
      if (header < end || start + packedBytes > directory) {
        this.#fail("its entries must not overlap", show(name));
      }
      end = start + packedBytes;
      unpacked += bytes;
    }
    const most = FREE_BYTES + EXPANSION * this.#bytes.length;
    if (unpacked > most) {
      this.#fail(`its entries must unpack to at most ${most} bytes`, `${unpacked}`);
    }
  }

  #fail(requirement: string, actual: string): never {
    throw new RangeError(`Cannot read ${this.#source}: ${requirement}, got ${actual}`);
  }
}

/** Encodes entries as an archive, without compression and timestamps. The same entries give the same bytes.
 *
 * ```ts
 * import { encodeZip, ZipArchive } from "./zip.ts";
 * import assert from "node:assert/strict";
 * const bytes = encodeZip(new Map([["a.txt", Uint8Array.of(1, 2)]]));
 * assert.deepEqual(new ZipArchive(bytes, "memory").read("a.txt", 2), Uint8Array.of(1, 2));
 * ```
 * @throws {RangeError} the archive would have 4 GiB or more, or 65,536 entries or more
 */
export function encodeZip(entries: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const names = [...entries.keys()].map((name) => new TextEncoder().encode(name));
  const total = [...entries.values()].reduce(
    (sum, { length }, at) => sum + length + LOCAL_BYTES + ENTRY_BYTES + 2 * names[at].length,
    END_BYTES,
  );
  if (total >= 2 ** 32 || names.length >= 2 ** 16) {
    throw new RangeError(
      `Cannot make a ZIP archive: it must be under 4 GiB and have under 65536 entries, got ${total} bytes and ${names.length} entries`,
    );
  }
  const archive = new Uint8Array(total), view = new DataView(archive.buffer);
  const starts: number[] = [];
  let at = 0;
  /** Writes the fields that the local header and the directory entry share, from the version on. */
  const describe = (from: number, contents: Uint8Array, name: Uint8Array) => {
    view.setUint16(from, 20, true);
    view.setUint16(from + 8, 0x21, true); // 1980-01-01, the format's earliest date.
    view.setUint32(from + 10, crc32(contents), true);
    view.setUint32(from + 14, contents.length, true);
    view.setUint32(from + 18, contents.length, true);
    view.setUint16(from + 22, name.length, true);
  };
  [...entries.values()].forEach((contents, index) => {
    starts.push(at);
    view.setUint32(at, LOCAL, true);
    describe(at + 4, contents, names[index]);
    archive.set(names[index], at + LOCAL_BYTES);
    archive.set(contents, at + LOCAL_BYTES + names[index].length);
    at += LOCAL_BYTES + names[index].length + contents.length;
  });
  const directory = at;
  [...entries.values()].forEach((contents, index) => {
    view.setUint32(at, ENTRY, true);
    view.setUint16(at + 4, 20, true);
    describe(at + 6, contents, names[index]);
    view.setUint32(at + 42, starts[index], true);
    archive.set(names[index], at + ENTRY_BYTES);
    at += ENTRY_BYTES + names[index].length;
  });
  view.setUint32(at, END, true);
  view.setUint16(at + 8, names.length, true);
  view.setUint16(at + 10, names.length, true);
  view.setUint32(at + 12, at - directory, true);
  view.setUint32(at + 16, directory, true);
  return archive;
}

function show(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
