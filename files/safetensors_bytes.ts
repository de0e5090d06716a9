/** The safetensors format: named arrays and text metadata, without executable code.
 *
 * Source: the format of github.com/huggingface/safetensors. The first eight bytes are the header's length
 * (little-endian). The header is JSON (name → dtype, shape, byte range; `__metadata__` → strings). The rest is the
 * little-endian elements of the arrays, without gaps. The element types are F32, I32 and F16. F16 is read as float32.
 */
import type { HostTensor } from "../core/host_tensor.ts";
import { showShape } from "../core/shape.ts";
import {
  type ElementType,
  type Fail,
  type Header,
  type HeaderEntry,
  METADATA,
  MOST_TENSORS,
  parseHeader,
  show,
} from "./safetensors_header.ts";

/** The contents of a safetensors file. */
export interface SafetensorsContents {
  /** The arrays by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Free text by name; empty if the file has none. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The longest header to read, in bytes; an array takes a few hundred. */
const MAX_HEADER_BYTES = 2 ** 24;

/** Sorts by code units, which gives the same order on every machine. */
function sortedByName<T>(entries: ReadonlyMap<string, T>): [string, T][] {
  return [...entries].sort(([a], [b]) => a < b ? -1 : 1);
}

/** Encodes contents as the bytes of a safetensors file. The same contents give the same bytes: names are sorted, and
 * the header is padded with spaces to a multiple of 8.
 *
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "./safetensors_bytes.ts";
 * import assert from "node:assert/strict";
 * const bytes = encodeSafetensors(
 *   new Map([["scale", { shape: [2], values: new Float32Array([1, 2]) }]]),
 *   new Map([["step", "70"]]),
 * );
 * const { tensors, metadata } = decodeSafetensors(bytes, "memory");
 * assert.deepEqual([...tensors.get("scale")!.values], [1, 2]);
 * assert.equal(metadata.get("step"), "70");
 * ```
 * @param floats the element type of float32 arrays in the file: F32, or F16 to round them and halve the size
 * @throws {TypeError} an array's length does not match its shape
 * @throws {RangeError} an array is named `__metadata__`, there are more than 32,768, the header would be longer than
 * 16 MiB, or a finite value is beyond float16's largest, 65,504
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
  floats: "F32" | "F16" = "F32",
): Uint8Array<ArrayBuffer> {
  const entries: HeaderEntry[] = [];
  const sorted = sortedByName(tensors);
  const stored: Stored[] = [];
  let end = 0;
  for (const [name, { shape, values }] of sorted) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (values.length !== size) {
      throw new TypeError(
        `Cannot encode "${name}": shape ${
          showShape(shape)
        } holds ${size} values, got ${values.length}`,
      );
    }
    if (name === METADATA) {
      throw new RangeError(`Cannot encode "${name}": the name is reserved for the metadata`);
    }
    const elements = floats === "F16" && values instanceof Float32Array
      ? roundToHalves(name, values)
      : values;
    stored.push(elements);
    const dtype = dtypeOf(elements), start = end;
    entries.push({ name, dtype, shape, start, end: end += elements.byteLength });
  }
  const header = encodeHeader({ entries, metadata });
  const bytes = new Uint8Array(header.length + end);
  bytes.set(header);
  let start = header.length;
  for (const { buffer, byteOffset, byteLength } of stored) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), start);
    start += byteLength;
  }
  return bytes;
}

/** Encodes the part of the file before the data: the header's length and the header.
 * @throws {RangeError} there are more than 32,768 arrays, or the header would be longer than 16 MiB
 */
export function encodeHeader({ entries, metadata }: Header): Uint8Array<ArrayBuffer> {
  const named: string[] = [];
  if (metadata.size > 0) {
    const texts = sortedByName(metadata).map(([key, text]) =>
      `${JSON.stringify(key)}:${JSON.stringify(text)}`
    );
    named.push(`"${METADATA}":{${texts.join(",")}}`);
  }
  for (const { name, dtype, shape, start, end } of entries) {
    named.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [start, end] })}`,
    );
  }
  const text = new TextEncoder().encode(`{${named.join(",")}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  if (entries.length > MOST_TENSORS) {
    throw new RangeError(
      `Cannot encode: there must be at most ${MOST_TENSORS} arrays, got ${entries.length}`,
    );
  }
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new RangeError(
      `Cannot encode: the header must be at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    );
  }
  const bytes = new Uint8Array(8 + headerBytes).fill(0x20, 8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(text, 8);
  return bytes;
}

type Stored = Float32Array | Float16Array | Int32Array;

function dtypeOf(elements: Stored): ElementType {
  if (elements instanceof Int32Array) return "I32";
  return elements instanceof Float32Array ? "F32" : "F16";
}

function roundToHalves(name: string, values: Float32Array): Float16Array<ArrayBuffer> {
  const halves = new Float16Array(values);
  const large = values.find((value, at) => Number.isFinite(value) && !Number.isFinite(halves[at]));
  if (large === undefined) return halves;
  throw new RangeError(
    `Cannot encode "${name}": a value must be at most 65504 to be stored in float16, got ${large}`,
  );
}

/** Parses the bytes of a safetensors file, strictly: the ranges must cover the data exactly, without gaps or overlaps,
 * and no name may appear twice.
 *
 * @param source the name of the bytes in error messages: a path
 * @returns copies of the arrays; shapes may have axes of length 0
 * @throws {RangeError} the bytes are truncated, in another format, inconsistent, or have another dtype
 */
export function decodeSafetensors(bytes: Uint8Array, source: string): SafetensorsContents {
  const fail = failing(source);
  const headerEnd = findHeaderEnd(bytes, bytes.length, fail);
  const header = parseHeader(bytes.subarray(8, headerEnd), fail);
  checkRanges(header, bytes.length - headerEnd, fail);
  const tensors = new Map<string, HostTensor>();
  for (const entry of header.entries) {
    const { buffer } = new Uint8Array(
      bytes.subarray(headerEnd + entry.start, headerEnd + entry.end),
    );
    tensors.set(entry.name, tensorOf(entry, buffer));
  }
  return { tensors, metadata: header.metadata };
}

/** Makes a function that throws errors about a source. */
export function failing(source: string): Fail {
  return (requirement, actual) => {
    throw new RangeError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
}

/** Makes an array from the bytes of a header entry. */
export function tensorOf({ dtype, shape }: HeaderEntry, buffer: ArrayBuffer): HostTensor {
  if (dtype === "I32") return { shape, values: new Int32Array(buffer) };
  const values = dtype === "F32"
    ? new Float32Array(buffer)
    : new Float32Array(new Float16Array(buffer));
  return { shape, values };
}

/** Finds the end of the header, where the data begin.
 * @param start the first nine bytes of the file, or fewer if it is shorter
 * @param size the size of the file
 */
export function findHeaderEnd(start: Uint8Array, size: number, fail: Fail): number {
  if (size < 8) return fail("a safetensors file has at least 8 bytes", `${size}`);
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    return fail(
      `the header of a safetensors file has at most ${MAX_HEADER_BYTES} bytes here`,
      `${headerBytes}: this may be another kind of file`,
    );
  }
  const headerEnd = 8 + Number(headerBytes);
  if (headerEnd > size) {
    return fail(`the file must hold its header of ${headerBytes} bytes`, `${size} in all`);
  }
  if (start[8] !== 0x7b || headerEnd === 8) {
    return fail("the header of a safetensors file starts with {", "another kind of file");
  }
  return headerEnd;
}

/** Checks that the arrays cover the data without gaps or overlaps. */
export function checkRanges({ entries }: Header, dataBytes: number, fail: Fail): void {
  let covered = 0;
  const sorted = entries.toSorted((a, b) => a.start - b.start || a.end - b.end);
  for (const { name, start, end } of sorted) {
    if (start !== covered) {
      fail(
        `${show(name)} must start where the array before it ends, at byte ${covered}`,
        `a start at ${start}`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    fail(
      `the header announces ${covered} bytes of data`,
      `${dataBytes}: the file is ${dataBytes < covered ? "truncated" : "longer than it should be"}`,
    );
  }
}
