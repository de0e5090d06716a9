/** Files of feature statistics, in pytorch-fid's format: a NumPy archive (`.npz`) of `mu` and `sigma`. */
import { readFile } from "node:fs/promises";
import { writeAtomically } from "../files/atomic_write.ts";
import { decodeNpy, encodeNpy } from "../files/npy.ts";
import { encodeZip, ZipArchive } from "../files/zip.ts";
import type { Gaussian } from "./feature_statistics.ts";
import { regularSize } from "../files/regular_file.ts";

/** The largest array in bytes: a covariance of 8,192 dimensions. */
const MOST_BYTES = 2 ** 29 + 2 ** 16;

/** Encodes statistics as the bytes of a file. The same statistics give the same bytes.
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
      ["mu.npy", encodeNpy({ shape: [dimensions], values: new Float64Array(mean) })],
      [
        "sigma.npy",
        encodeNpy({ shape: [dimensions, dimensions], values: new Float64Array(covariance) }),
      ],
    ]),
  );
}

/** Parses the bytes of a file of statistics.
 * @param source the name of the bytes in error messages: a path
 * @throws {RangeError} the bytes are damaged or in another format
 */
export function decodeStatistics(bytes: Uint8Array, source: string): Gaussian {
  const archive = new ZipArchive(bytes, source);
  const array = (name: string) => {
    const { shape, values } = decodeNpy(archive.read(name, MOST_BYTES), `${source} (${name})`);
    if (values instanceof Int32Array) {
      throw new RangeError(`Cannot read ${source} (${name}): it must be of floats, got integers`);
    }
    return { shape, values: new Float64Array(values) };
  };
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

/** Writes a file of statistics atomically.
 * @throws {Error} the file cannot be written
 */
export async function writeStatistics(path: string, gaussian: Gaussian): Promise<void> {
  await writeAtomically(path, encodeStatistics(gaussian));
}

/** Reads the bytes of a file of statistics; parse them with `decodeStatistics`.
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
