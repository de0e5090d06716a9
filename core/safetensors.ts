/** The safetensors file format: named arrays and text metadata, nothing that runs.
 *
 * Source: the format of github.com/huggingface/safetensors. Eight bytes give the header's length (little-endian),
 * the header is JSON (name → dtype, shape, byte range; `__metadata__` → strings), the rest is the arrays'
 * little-endian elements without gaps. Only the element types of this toolkit, F32 and I32, are read and written.
 */
import { readFile } from "node:fs/promises";
import { writeAtomically } from "./atomic_write.ts";
import type { HostArray } from "./backend.ts";
import { type Shape, showShape } from "./shape.ts";

/** An array on the host with its shape, row-major. */
export interface HostTensor {
  /** The lengths of the axes; their product is the number of values. */
  readonly shape: Shape;
  /** The elements: float32 or int32. */
  readonly values: HostArray;
}

/** What a safetensors file holds. */
export interface SafetensorsContents {
  /** The arrays by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Free text by name; empty when the file has none. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Longest header that is read, in bytes; the limit of the format's own library. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";

/** Code-unit order, the same on every machine. */
function sortedByName<T>(entries: ReadonlyMap<string, T>): [string, T][] {
  return [...entries].sort(([a], [b]) => a < b ? -1 : 1);
}

/** The bytes of a safetensors file. The same contents give the same bytes: names are sorted and the header is
 * padded with spaces to a multiple of 8.
 *
 * ```ts
 * import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
 * import assert from "node:assert/strict";
 * const bytes = encodeSafetensors(
 *   new Map([["scale", { shape: [2], values: new Float32Array([1, 2]) }]]),
 *   new Map([["step", "70"]]),
 * );
 * const { tensors, metadata } = decodeSafetensors(bytes, "memory");
 * assert.deepEqual([...tensors.get("scale")!.values], [1, 2]);
 * assert.equal(metadata.get("step"), "70");
 * ```
 * @throws {TypeError} an array's length is not its shape's
 * @throws {RangeError} an array is named `__metadata__`, or the header would be longer than 100 MB
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array<ArrayBuffer> {
  const entries: string[] = [];
  if (metadata.size > 0) {
    const texts = sortedByName(metadata).map(([key, text]) =>
      `${JSON.stringify(key)}:${JSON.stringify(text)}`
    );
    entries.push(`"${METADATA}":{${texts.join(",")}}`);
  }
  const sorted = sortedByName(tensors);
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
    const dtype = values instanceof Float32Array ? "F32" : "I32";
    const entry = { dtype, shape, data_offsets: [end, end += values.byteLength] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const text = new TextEncoder().encode(`{${entries.join(",")}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new RangeError(
      `Cannot encode: the header must be at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    );
  }
  const bytes = new Uint8Array(8 + headerBytes + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, 8, 8 + headerBytes).set(text, 8);
  let start = 8 + headerBytes;
  for (const [, { values }] of sorted) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), start);
    start += values.byteLength;
  }
  return bytes;
}

/** Parses the bytes of a safetensors file, strictly: the ranges must cover the data exactly, without gaps or
 * overlaps, and no name may come twice.
 *
 * @param source what the messages call the bytes: a path
 * @returns copies of the arrays; shapes may hold axes of length 0
 * @throws {RangeError} the bytes are truncated, not of the format, contradict themselves, or hold another dtype
 */
export function decodeSafetensors(bytes: Uint8Array, source: string): SafetensorsContents {
  const fail = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const headerEnd = findHeaderEnd(bytes, fail);
  const header = parseHeader(bytes.subarray(8, headerEnd), fail);
  const metadata = new Map<string, string>();
  const found: { name: string; dtype: Dtype; shape: number[]; start: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (!isObject(entry)) return fail(`${show(name)} in the header must be an object`, show(entry));
    if (name === METADATA) {
      for (const [key, text] of Object.entries(entry)) {
        if (typeof text !== "string") {
          return fail(`the metadata ${show(key)} must be a string`, show(text));
        }
        metadata.set(key, text);
      }
    } else {
      found.push({ name, ...checkEntry(name, entry, fail) });
    }
  }
  const dataBytes = bytes.length - headerEnd;
  let covered = 0;
  for (const { name, start, end } of found.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (start !== covered) {
      return fail(
        `${show(name)} must start where the array before it ends, at byte ${covered}`,
        `a start at ${start}`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    return fail(
      `the header announces ${covered} bytes of data`,
      `${dataBytes}: the file is ${dataBytes < covered ? "truncated" : "longer than it should be"}`,
    );
  }
  const tensors = new Map<string, HostTensor>();
  for (const { name, dtype, shape, start, end } of found) {
    const { buffer } = new Uint8Array(bytes.subarray(headerEnd + start, headerEnd + end));
    const values = dtype === "F32" ? new Float32Array(buffer) : new Int32Array(buffer);
    tensors.set(name, { shape, values });
  }
  return { tensors, metadata };
}

/** Reads a safetensors file.
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} the contents are not whole or not of the format (see `decodeSafetensors`)
 */
export async function readSafetensors(path: string): Promise<SafetensorsContents> {
  const bytes = await readFile(path).catch((cause: Error) => {
    throw new Error(
      `Cannot read ${path}: the file must exist and be readable, got ${cause.message}`,
      {
        cause,
      },
    );
  });
  return decodeSafetensors(bytes, path);
}

/** Writes a safetensors file in one step: a kill leaves the old file or the new one.
 * @throws {TypeError | RangeError} as `encodeSafetensors`
 * @throws {Error} the file cannot be written
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  await writeAtomically(path, encodeSafetensors(tensors, metadata));
}

type Fail = (requirement: string, actual: string) => never;
type Dtype = "F32" | "I32";

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as messages show it, shortened. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Reads the first eight bytes: where the header ends and the data begin. */
function findHeaderEnd(bytes: Uint8Array, fail: Fail): number {
  if (bytes.length < 8) return fail("a safetensors file has at least 8 bytes", `${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    return fail(
      `the header of a safetensors file has at most ${MAX_HEADER_BYTES} bytes`,
      `${headerBytes}: this is another kind of file`,
    );
  }
  const headerEnd = 8 + Number(headerBytes);
  if (headerEnd > bytes.length) {
    return fail(`the file must hold its header of ${headerBytes} bytes`, `${bytes.length} in all`);
  }
  if (bytes[8] !== 0x7b || headerEnd === 8) {
    return fail("the header of a safetensors file starts with {", "another kind of file");
  }
  return headerEnd;
}

function parseHeader(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  let text: string, header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    return fail("the header must be JSON in UTF-8", (error as Error).message);
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    return fail("every name must come once in the header", `${show(duplicate)} twice`);
  }
  return header as Record<string, unknown>;
}

/** The first key that comes twice in one object of a valid JSON text; `JSON.parse` keeps the last silently. */
function findDuplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    if (json[at] === "{") open.push(new Set());
    else if (json[at] === "}") open.pop();
    else if (json[at] === '"') {
      const start = at++;
      while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
      let next = at + 1;
      while (/\s/.test(json[next])) next++;
      if (json[next] !== ":") continue;
      const key = JSON.parse(json.slice(start, at + 1)) as string;
      const keys = open[open.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** Checks what the header says of one array against itself. */
function checkEntry(
  name: string,
  entry: Record<string, unknown>,
  fail: Fail,
): { dtype: Dtype; shape: number[]; start: number; end: number } {
  const { dtype, shape, data_offsets: range, ...rest } = entry;
  if (dtype !== "F32" && dtype !== "I32") {
    return fail(`${show(name)} must be of dtype F32 or I32`, show(dtype));
  }
  const isCount = (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return fail(`the shape of ${show(name)} must be a list of integers of at least 0`, show(shape));
  }
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount) || range[0] > range[1]) {
    return fail(`the data_offsets of ${show(name)} must be [start, end]`, show(range));
  }
  const bytes = 4 * shape.reduce((product, length) => product * length, 1);
  if (bytes !== range[1] - range[0]) {
    return fail(
      `${show(name)} of shape ${show(shape)} takes ${bytes} bytes`,
      `a range of ${range[1] - range[0]}`,
    );
  }
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    return fail(`${show(name)} may have a dtype, a shape and data_offsets`, show(unknown));
  }
  return { dtype, shape, start: range[0], end: range[1] };
}
