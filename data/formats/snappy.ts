/** Unpacks Snappy.
 * Source: github.com/google/snappy, format_description.txt. */

/** Unpacks a block to a known number of bytes.
 * @throws {RangeError} the block is broken, or unpacks to another number of bytes
 */
export function unpackSnappy(packed: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const output = new Uint8Array(size);
  let at = 0, filled = 0;
  const number = (length: number) => {
    let value = 0;
    for (let place = 0; place < length; place++) value += (packed[at++] ?? NaN) * 256 ** place;
    if (Number.isNaN(value)) throw new RangeError("a Snappy block that is cut short");
    return value;
  };
  while (number(1) >= 128); // The length, which the caller knows.
  while (at < packed.length) {
    const tag = number(1), kind = tag & 3;
    if (kind === 0) {
      const short = tag >> 2;
      const length = 1 + (short < 60 ? short : number(short - 59));
      if (length > packed.length - at || length > size - filled) {
        throw new RangeError(`a Snappy block with ${length} bytes more than there are`);
      }
      output.set(packed.subarray(at, at + length), filled);
      at += length;
      filled += length;
    } else {
      const length = kind === 1 ? 4 + (tag >> 2 & 7) : 1 + (tag >> 2);
      const back = kind === 1 ? (tag >> 5) * 256 + number(1) : number(kind === 2 ? 2 : 4);
      if (back === 0 || back > filled || length > size - filled) {
        throw new RangeError(`a Snappy block that repeats ${length} bytes from ${back} before`);
      }
      for (const end = filled + length; filled < end; filled++) {
        output[filled] = output[filled - back];
      }
    }
  }
  if (filled === size) return output;
  throw new RangeError(`a page that unpacks to ${filled} bytes where its header says ${size}`);
}
