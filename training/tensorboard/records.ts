/** The framing of TensorFlow record files: each record has its length, and checksums of both.
 *
 * Source: tensorflow/core/lib/io/record_writer.h. Length (8 bytes, little-endian), masked CRC-32C of the length (4),
 * the record, masked CRC-32C of the record (4).
 */

const HEADER = 12, FOOTER = 4;

/** CRC-32C (Castagnoli) of each byte value. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder >>> 1 ^ (remainder & 1) * 0x82f63b78;
  return remainder >>> 0;
});

/** The CRC-32C of bytes.
 *
 * ```ts
 * import { crc32c } from "./records.ts";
 * import assert from "node:assert/strict";
 * assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
 * ```
 */
export function crc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) remainder = remainder >>> 8 ^ TABLE[(remainder ^ byte) & 0xff];
  return (remainder ^ 0xffffffff) >>> 0;
}

/** A masked checksum, which may itself be part of checksummed data. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
}

/** A record with its frame. */
export function encodeRecord(record: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(HEADER + record.length + FOOTER);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(record.length), true);
  view.setUint32(8, masked(framed.subarray(0, 8)), true);
  framed.set(record, HEADER);
  view.setUint32(HEADER + record.length, masked(record), true);
  return framed;
}

/** The records of a file, up to the first incomplete or damaged one. */
export function* decodeRecords(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + HEADER + FOOTER <= bytes.length;) {
    const length = Number(view.getBigUint64(at, true));
    const end = at + HEADER + length;
    if (view.getUint32(at + 8, true) !== masked(bytes.subarray(at, at + 8))) return;
    if (end + FOOTER > bytes.length) return;
    const record = bytes.subarray(at + HEADER, end);
    if (view.getUint32(end, true) !== masked(record)) return;
    yield record;
    at = end + FOOTER;
  }
}
