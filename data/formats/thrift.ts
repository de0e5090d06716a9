/** Thrift's compact protocol, as far as Parquet's footers and page headers need it. Only requested values are kept. The
 * rest is skipped, so that a footer takes no more memory than the reader keeps.
 *
 * Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
 */

/** The types of values that can be read; others are only skipped. */
export type ThriftType = "boolean" | "integer" | "bytes" | "list" | "struct";

/** A requested field: its type, and a function that reads its value. */
export type ThriftField = readonly [type: ThriftType, read: () => void];

/** The codes of the types in the headers of fields and lists. */
const TRUE = 1, FALSE = 2, BYTE = 3, DOUBLE = 7, BYTES = 8, LIST = 9, SET = 10;
const MAP = 11, STRUCT = 12, UUID = 13;
const CODES: Readonly<Record<ThriftType, readonly number[]>> = {
  boolean: [TRUE, FALSE],
  integer: [BYTE + 1, BYTE + 2, BYTE + 3],
  bytes: [BYTES],
  list: [LIST],
  struct: [STRUCT],
};
/** The maximum nesting depth of skipped values. */
const MOST_DEPTH = 32;
/** The maximum number of bytes of a 64-bit number. */
const MOST_VARINT = 10;

/** Reads values one after another. All methods throw a RangeError if the bytes are invalid. */
export class ThriftReader {
  /** The position of the next byte. */
  offset = 0;
  #boolean = false;
  #depth = 0;

  /** Starts at the first byte. */
  constructor(readonly bytes: Uint8Array<ArrayBuffer>) {}

  /** Reads a struct: the fields with the given numbers. Others are skipped. */
  struct(fields: Readonly<Record<number, ThriftField>>): void {
    let field = 0;
    for (;;) {
      const header = this.#byte(), code = header & 15;
      if (code === 0) return;
      field = header >> 4 === 0 ? this.integer() : field + (header >> 4);
      const wanted = fields[field];
      if (code <= FALSE) this.#boolean = code === TRUE;
      if (wanted === undefined) {
        if (code > FALSE) this.#skip(code);
      } else if (CODES[wanted[0]].includes(code)) wanted[1]();
      else throw new RangeError(`field ${field} of type ${code} where ${wanted[0]} must be`);
    }
  }

  /** Reads a list of structs or bytes: `read` is called for every element. */
  list(type: "bytes" | "struct", read: () => void): void {
    const { code, length } = this.#listHeader();
    if (length > 0 && !CODES[type].includes(code)) {
      throw new RangeError(`a list of type ${code} where ${type} must be`);
    }
    for (let element = 0; element < length; element++) read();
  }

  /** Skips a list. */
  skipList(): void {
    this.#skip(LIST);
  }

  /** The value of the boolean field just read; its header contains the value. */
  boolean(): boolean {
    return this.#boolean;
  }

  /** Reads a signed integer of up to 53 bits. */
  integer(): number {
    const zigzag = this.#varint();
    const value = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    if (Number.isSafeInteger(zigzag)) return value;
    throw new RangeError("a number of more than 53 bits");
  }

  /** Reads bytes after their length; a view. */
  take(): Uint8Array<ArrayBuffer> {
    const length = this.#varint();
    this.#advance(length);
    return this.bytes.subarray(this.offset - length, this.offset);
  }

  #listHeader(): { code: number; length: number } {
    const header = this.#byte();
    const length = header >> 4 === 15 ? this.#varint() : header >> 4;
    // Every element has at least one byte.
    if (length > this.bytes.length - this.offset) {
      throw new RangeError(
        `a list of ${length} where ${this.bytes.length - this.offset} bytes are`,
      );
    }
    return { code: header & 15, length };
  }

  #skip(code: number): void {
    if (++this.#depth > MOST_DEPTH) {
      throw new RangeError(`values nested more than ${MOST_DEPTH} deep`);
    }
    if (code === TRUE || code === FALSE || code === BYTE) this.#advance(1);
    else if (CODES.integer.includes(code)) this.#varint();
    else if (code === DOUBLE) this.#advance(8);
    else if (code === UUID) this.#advance(16);
    else if (code === BYTES) this.take();
    else if (code === STRUCT) this.struct({});
    else if (code === LIST || code === SET) {
      const { code: element, length } = this.#listHeader();
      for (let at = 0; at < length; at++) this.#skip(element);
    } else if (code === MAP) {
      const length = this.#varint(), kinds = length === 0 ? 0 : this.#byte();
      for (let at = 0; at < length; at++) {
        this.#skip(kinds >> 4);
        this.#skip(kinds & 15);
      }
    } else throw new RangeError(`a value of type ${code}`);
    this.#depth--;
  }

  #varint(): number {
    let value = 0;
    for (let place = 0; place < MOST_VARINT; place++) {
      const byte = this.#byte();
      value += (byte & 127) * 128 ** place;
      if (byte < 128) return value;
    }
    throw new RangeError("a number of more than 64 bits");
  }

  #byte(): number {
    this.#advance(1);
    return this.bytes[this.offset - 1];
  }

  #advance(length: number): void {
    if (!(length <= this.bytes.length - this.offset)) {
      throw new RangeError(`${length} bytes where ${this.bytes.length - this.offset} are left`);
    }
    this.offset += length;
  }
}
