/** NumPy's `.npy` files, with the element types of this toolkit and of statistics files.
 *
 * Source: NumPy's format specification, version 1.0 (numpy/lib/format.py).
 */
import { showShape, sizeOf } from "../core/shape.ts";

/** The elements of an array. */
export type NpyValues =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>;

/** An array with its shape, row-major. */
export interface NpyArray {
  /** The lengths of the axes. */
  readonly shape: readonly number[];
  /** The elements. */
  readonly values: NpyValues;
}

const MAGIC = "\x93NUMPY";
/** The magic, two bytes for the version, and two for the header's length. */
const PREFIX_BYTES = MAGIC.length + 4;
const HEADER =
  /^\{'descr': '<(f4|f8|i4|i8)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n$/;

/** Encodes an array as the bytes of a `.npy` file. The same array gives the same bytes.
 *
 * ```ts
 * import { decodeNpy, encodeNpy } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const array = { shape: [2, 1], values: Int32Array.of(7, -1) };
 * assert.deepEqual(decodeNpy(encodeNpy(array), "memory"), array);
 * ```
 * @throws {TypeError} the shape does not match the number of values
 */
export function encodeNpy({ shape, values }: NpyArray): Uint8Array<ArrayBuffer> {
  if (sizeOf(shape) !== values.length) {
    throw new TypeError(
      `Cannot encode an array: shape ${showShape(shape)} holds ${
        sizeOf(shape)
      } values, got ${values.length}`,
    );
  }
  const kind = values instanceof Int32Array ? "i" : "f";
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text =
    `{'descr': '<${kind}${values.BYTES_PER_ELEMENT}', 'fortran_order': False, 'shape': (${axes}), }`;
  // The values start at a multiple of 64 bytes.
  const padded = Math.ceil((PREFIX_BYTES + text.length + 1) / 64) * 64;
  const header = text.padEnd(padded - PREFIX_BYTES - 1) + "\n";
  const bytes = new Uint8Array(padded + values.byteLength);
  bytes.set(Array.from(MAGIC, (letter) => letter.charCodeAt(0)));
  bytes.set([1, 0, header.length & 0xff, header.length >> 8], MAGIC.length);
  bytes.set(new TextEncoder().encode(header), PREFIX_BYTES);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), padded);
  return bytes;
}

/** Parses the bytes of a `.npy` file of little-endian floats or integers of 4 or 8 bytes. 8-byte integers become int32.
 * @param source the name of the bytes in error messages: a path
 * @throws {RangeError} the bytes are damaged or in another format, or an integer does not fit into int32
 */
export function decodeNpy(bytes: Uint8Array, source: string): NpyArray {
  const fail = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const text = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)));
  if (text(0, MAGIC.length) !== MAGIC || bytes[MAGIC.length] !== 1) {
    fail("it must be a NumPy array of version 1", "another kind of file");
  }
  const end = PREFIX_BYTES + bytes[PREFIX_BYTES - 2] + 256 * bytes[PREFIX_BYTES - 1];
  const header = text(PREFIX_BYTES, Math.min(end, PREFIX_BYTES + 1000));
  const [, type, lengths] = header.match(HEADER) ?? fail(
    "it must be little-endian floats or integers of 4 or 8 bytes, row by row",
    JSON.stringify(header.slice(0, 100)),
  );
  const shape = lengths.split(",").filter((part) => part.trim() !== "").map(Number);
  const expected = sizeOf(shape) * Number(type[1]);
  if (bytes.length - end !== expected) {
    fail(`[${shape}] must have ${expected} bytes`, `${bytes.length - end}`);
  }
  const { buffer } = new Uint8Array(bytes.subarray(end));
  if (type === "f4") return { shape, values: new Float32Array(buffer) };
  if (type === "f8") return { shape, values: new Float64Array(buffer) };
  if (type === "i4") return { shape, values: new Int32Array(buffer) };
  const long = new BigInt64Array(buffer), values = new Int32Array(long.length);
  long.forEach((value, at) => {
    values[at] = Number(value);
    if (BigInt(values[at]) !== value) fail("every integer must fit into int32", `${value}`);
  });
  return { shape, values };
}
