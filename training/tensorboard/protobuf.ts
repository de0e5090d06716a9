/** The part of the Protocol Buffers wire format that event files need.
 *
 * Source: protobuf.dev/programming-guides/encoding. A message is a sequence of fields, each with its number and wire
 * type.
 */

/** Wire types of fields. */
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5;

/** Writes one message. Fields of value 0 are written too. */
export class MessageWriter {
  readonly #parts: Uint8Array[] = [];

  /** Writes an integer in [0, 2⁵³). */
  integer(field: number, value: number): this {
    return this.#field(field, VARINT, varint(value));
  }

  /** Writes a 64-bit number. */
  double(field: number, value: number): this {
    return this.#field(field, FIXED64, new Uint8Array(Float64Array.of(value).buffer));
  }

  /** Writes a 32-bit number. */
  float(field: number, value: number): this {
    return this.#field(field, FIXED32, new Uint8Array(Float32Array.of(value).buffer));
  }

  /** Writes bytes, a string, or a message. */
  bytes(field: number, value: Uint8Array | string | MessageWriter): this {
    const bytes = typeof value === "string"
      ? new TextEncoder().encode(value)
      : value instanceof MessageWriter
      ? value.encoded()
      : value;
    return this.#field(field, BYTES, varint(bytes.length), bytes);
  }

  /** Writes a sequence of 64-bit numbers. */
  doubles(field: number, values: Float64Array): this {
    return this.bytes(field, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** The encoded message. */
  encoded(): Uint8Array<ArrayBuffer> {
    const encoded = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      encoded.set(part, at);
      at += part.length;
    }
    return encoded;
  }

  #field(field: number, form: number, ...contents: readonly Uint8Array[]): this {
    this.#parts.push(varint(field * 8 + form), ...contents);
    return this;
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128 + (rest >= 128 ? 128 : 0));
  }
  return Uint8Array.from(bytes);
}

/** The fields of a message by number; for repeated fields, the last one. A field is an integer, or bytes for other
 * types.
 * @throws {RangeError} the bytes are not a message
 */
export function readMessage(bytes: Uint8Array): Map<number, number | Uint8Array> {
  const fields = new Map<number, number | Uint8Array>();
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) {
      throw new RangeError(`Cannot read a message: it must be whole, got ${bytes.length} bytes`);
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (): number => {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const [byte] = take(1);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = number(), form = key % 8, field = Math.floor(key / 8);
    if (form === VARINT) fields.set(field, number());
    else if (form === FIXED64) fields.set(field, take(8));
    else if (form === BYTES) fields.set(field, take(number()));
    else if (form === FIXED32) fields.set(field, take(4));
    else throw new RangeError(`Cannot read a message: a field's form must be known, got ${form}`);
  }
  return fields;
}
