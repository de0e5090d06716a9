/** Files of feature statistics, in the form that pytorch-fid reads and writes: a NumPy archive (`.npz`) of `mu` and
 * `sigma`.
 *
 * Source: NumPy's format specification, version 1.0 (numpy/lib/format.py).
 */
import { readFile } from "node:fs/promises";
import { writeAtomically } from "../files/atomic_write.ts";
import { encodeZip, ZipArchive } from "../files/zip.ts";
import type { Gaussian } from "./feature_statistics.ts";
import { regularSize } from "../files/regular_file.ts";

const MAGIC = "\x93NUMPY";
/** No array is larger: a covariance of 8,192 dimensions. */
const MOST_BYTES = 2 ** 29 + 2 ** 16;
const HEADER = /^\{'descr': '<f([48])', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n$/;

/** The bytes of a file of statistics; the same statistics give the same bytes.
 *
 * ```ts
 * import { decodeStatistics, encodeStatistics } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const gaussian = { mean: Float64Array.of(1), covariance: Float64Array.of(2) };
 * assert.deepEqual(decodeStatistics(encodeStatistics(gaussian), "memory"), gaussian);
 * ```
 */
export function encodeStatistics({ mean, covariance }: Gaussian): Uint8Array<ArrayBuffer> {
  const dimensions = mean.length;
  return encodeZip(
    new Map([
      ["mu.npy", encodeArray(mean, `${dimensions},`)],
      ["sigma.npy", encodeArray(covariance, `${dimensions}, ${dimensions}`)],
    ]),
  );
}

/** Parses the bytes of a file of statistics.
 * @param source what the messages call the bytes: a path
 * @throws {RangeError} they are damaged, or not of this form
 */
export function decodeStatistics(bytes: Uint8Array, source: string): Gaussian {
  const archive = new ZipArchive(bytes, source);
  const array = (name: string) =>
    decodeArray(archive.read(name, MOST_BYTES), `${source} (${name})`);
  const mean = array("mu.npy"), covariance = array("sigma.npy");
  const dimensions = mean.values.length;
  if (
    `${mean.shape}` !== `${dimensions}` || `${covariance.shape}` !== `${dimensions},${dimensions}`
  ) {
    throw new RangeError(
      `Cannot read ${source}: mu must be [D] and sigma [D, D], got [${mean.shape}] and [${covariance.shape}]`,
    );
  }
  return { mean: mean.values, covariance: covariance.values };
}

/** Writes a file of statistics in one step.
 * @throws {Error} the file cannot be written
 */
export async function writeStatistics(path: string, gaussian: Gaussian): Promise<void> {
  await writeAtomically(path, encodeStatistics(gaussian));
}

/** Reads the bytes of a file of statistics, which `decodeStatistics` parses.
 * @throws {Error} the file is missing or cannot be read
 */
export async function readStatisticsBytes(path: string): Promise<Uint8Array> {
  return await regularSize(path).then(() => readFile(path)).catch((cause: Error) => {
    throw new Error(
      `Cannot read ${path}: the file must exist and be readable, got ${cause.message}`,
      { cause },
    );
  });
}

function encodeArray(values: Float64Array, shape: string): Uint8Array {
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape}), }`;
  // The values start at a multiple of 64 bytes.
  const padded = Math.ceil((MAGIC.length + 4 + text.length + 1) / 64) * 64;
  const header = text.padEnd(padded - MAGIC.length - 4 - 1) + "\n";
  const bytes = new Uint8Array(padded + values.byteLength);
  bytes.set(Array.from(MAGIC, (letter) => letter.charCodeAt(0)));
  bytes.set([1, 0, header.length & 0xff, header.length >> 8], MAGIC.length);
  bytes.set(new TextEncoder().encode(header), MAGIC.length + 4);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), padded);
  return bytes;
}

function decodeArray(
  bytes: Uint8Array,
  source: string,
): { readonly shape: readonly number[]; readonly values: Float64Array } {
  const fail = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot read ${source}: ${requirement}, got ${actual}`);
  };
  const text = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)));
  const start = MAGIC.length + 4;
  if (text(0, MAGIC.length) !== MAGIC || bytes[MAGIC.length] !== 1) {
    fail("it must be a NumPy array of version 1", "another kind of file");
  }
  const end = start + bytes[start - 2] + 256 * bytes[start - 1];
  const header = text(start, Math.min(end, start + 1000));
  const [, width, lengths] = header.match(HEADER) ??
    fail("it must be little-endian floats, row by row", JSON.stringify(header.slice(0, 100)));
  const shape = lengths.split(",").filter((part) => part.trim() !== "").map(Number);
  const size = shape.reduce((product, length) => product * length, 1);
  if (bytes.length - end !== size * Number(width)) {
    fail(`[${shape}] must have ${size * Number(width)} bytes`, `${bytes.length - end}`);
  }
  const { buffer } = new Uint8Array(bytes.subarray(end));
  const values = width === "8"
    ? new Float64Array(buffer)
    : new Float64Array(new Float32Array(buffer));
  return { shape, values };
}
