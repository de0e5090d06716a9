/** Parquet's hybrid of run lengths and packed bits, for levels and dictionary indices. Source: the Parquet format,
 * Encodings, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)". */

/** Reads integers of a certain number of bits.
 * @param bits the bits of each integer, in [0, 32]
 * @param count the number of integers; bytes after them are ignored
 * @throws {RangeError} the bytes end before, or the bits are out of range
 */
export function readRuns(bytes: Uint8Array, bits: number, count: number): Int32Array<ArrayBuffer> {
  if (!(bits >= 0 && bits <= 32)) throw new RangeError(`integers of ${bits} bits`);
  const values = new Int32Array(count);
  let offset = 0;
  const byte = () => {
    if (offset < bytes.length) return bytes[offset++];
    throw new RangeError(`${bytes.length} bytes of runs for ${count} integers`);
  };
  for (let filled = 0; filled < count;) {
    let header = 0, shift = 0;
    for (let next = 128; next >= 128; shift += 7) {
      next = byte();
      header += (next & 127) * 2 ** shift;
    }
    const left = count - filled;
    if (header % 2 === 0) { // A run of one value.
      const length = Math.min(left, header / 2);
      let value = 0;
      for (let place = 0; place < bits; place += 8) value += byte() * 2 ** place;
      values.fill(value, filled, filled + length);
      filled += length;
    } else { // Groups of eight values, the lowest bits first.
      const length = Math.min(left, (header - 1) / 2 * 8);
      let held = 0, have = 0;
      for (let place = 0; place < length; place++) {
        for (; have < bits; have += 8) held += byte() * 2 ** have;
        values[filled++] = held % 2 ** bits;
        held = Math.floor(held / 2 ** bits);
        have -= bits;
      }
      const padding = Math.ceil((header - 1) / 2 * 8 * bits / 8) - Math.ceil(length * bits / 8);
      offset += padding;
    }
  }
  return values;
}
