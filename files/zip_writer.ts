/** Writes ZIP archives that PyTorch can read: entries are not compressed, and each starts at a multiple of 64 bytes. */
import { crc32 } from "node:zlib";

const LOCAL = 0x04034b50, ENTRY = 0x02014b50, END = 0x06054b50;
const LOCAL_BYTES = 30, ENTRY_BYTES = 46, END_BYTES = 22;
/** The format's version, and its earliest date, 1980-01-01. */
const VERSION = 10, DAY = 0x21;
const ALIGNMENT = 64, MOST = 2 ** 32 - 1;

/** Encodes entries as an archive. The same entries give the same bytes.
 *
 * ```ts
 * import { encodeZip } from "./zip_writer.ts";
 * import { ZipArchive } from "./zip.ts";
 * import assert from "node:assert/strict";
 * const bytes = encodeZip(new Map([["a/b", Uint8Array.of(1, 2)]]));
 * assert.deepEqual([...new ZipArchive(bytes, "made here").read("a/b", 2)], [1, 2]);
 * ```
 * @param entries bytes by name
 * @throws {RangeError} they take 4 GiB or more, which the format cannot hold without its 64-bit extension
 */
export function encodeZip(entries: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const places: { name: Uint8Array; data: Uint8Array; sum: number; at: number; extra: number }[] =
    [];
  let end = 0;
  for (const [name, data] of entries) {
    const text = new TextEncoder().encode(name), start = end + LOCAL_BYTES + text.length;
    // An extra field of zeros follows the name and fills the space up to the alignment; four of its bytes are its
    // header.
    const extra = 4 + (ALIGNMENT - (start + 4) % ALIGNMENT) % ALIGNMENT;
    places.push({ name: text, data, sum: crc32(data), at: end, extra });
    end = start + extra + data.length;
  }
  const directory = places.reduce((total, { name }) => total + ENTRY_BYTES + name.length, 0);
  const size = end + directory + END_BYTES;
  if (size > MOST) {
    throw new RangeError(
      `Cannot write an archive: it must be smaller than 4 GiB, got ${size} bytes`,
    );
  }
  const bytes = new Uint8Array(size), view = new DataView(bytes.buffer);
  let at = end;
  for (const { name, data, sum, at: start, extra } of places) {
    const fields = (from: number) => {
      view.setUint16(from, VERSION, true);
      view.setUint16(from + 8, DAY, true);
      view.setUint32(from + 10, sum, true);
      view.setUint32(from + 14, data.length, true);
      view.setUint32(from + 18, data.length, true);
      view.setUint16(from + 22, name.length, true);
    };
    view.setUint32(start, LOCAL, true);
    fields(start + 4);
    view.setUint16(start + 28, extra, true);
    bytes.set(name, start + LOCAL_BYTES);
    view.setUint16(start + LOCAL_BYTES + name.length + 2, extra - 4, true);
    bytes.set(data, start + LOCAL_BYTES + name.length + extra);
    view.setUint32(at, ENTRY, true);
    view.setUint16(at + 4, VERSION, true);
    fields(at + 6);
    view.setUint32(at + 42, start, true);
    bytes.set(name, at + ENTRY_BYTES);
    at += ENTRY_BYTES + name.length;
  }
  view.setUint32(at, END, true);
  view.setUint16(at + 8, places.length, true);
  view.setUint16(at + 10, places.length, true);
  view.setUint32(at + 12, directory, true);
  view.setUint32(at + 16, end, true);
  return bytes;
}
