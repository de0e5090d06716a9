/** Loads the weights of pretrained networks. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodePyTorch } from "../../files/pytorch_file.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { decodeSafetensors } from "../../files/safetensors_bytes.ts";
import { sameShape, showShape, sizeOf } from "../../core/shape.ts";
import { regularSize } from "../../files/regular_file.ts";

/** The weights of a network, by PyTorch's names and in PyTorch's layouts. */
export interface Weights {
  /** Identifies these weights: the first 12 hexadecimal digits of the file's SHA-256. */
  readonly hash: string;
  /** A weight's values, row-major.
   * @throws {RangeError} there is no weight of that name, or it has another shape
   */
  values(name: string, shape: readonly number[]): Float32Array;
}

/** Zeros in place of weights of any name and shape. */
export const BLANK_WEIGHTS: Weights = {
  hash: "",
  values: (_name, shape) => new Float32Array(sizeOf(shape)),
};

/** A weight file of a network. */
export interface WeightFile {
  /** What the file contains, for the error message if it is missing. */
  readonly network: string;
  /** The usual names of the file. The first one found in the folder is used. */
  readonly names: readonly string[];
}

/** Finds and reads a weight file in safetensors or PyTorch format.
 * @param folder the folder of weight files
 * @throws {Error} the folder cannot be read, or has no file of these names
 * @throws {RangeError} the file is damaged, or contains anything but tensors
 */
export async function loadWeights(folder: string, file: WeightFile): Promise<Weights> {
  const present = await readdir(folder).catch((cause: Error) => {
    throw new Error(
      `Cannot load ${file.network}: its weights must lie in a folder that can be read, got ${folder} (${cause.message})`,
      { cause },
    );
  });
  const name = file.names.find((one) => present.includes(one));
  if (name === undefined) {
    throw new Error(
      `Cannot load ${file.network}: ${folder} must hold ${
        file.names.join(" or ")
      }, got none of them`,
    );
  }
  const path = join(folder, name);
  await regularSize(path);
  return decodeWeights(await readFile(path), path);
}

/** Reads the bytes of a safetensors or PyTorch file.
 * @param source the name of the bytes in error messages: a path
 * @throws {RangeError} the bytes are damaged, or contain anything but tensors
 */
export function decodeWeights(bytes: Uint8Array, source: string): Weights {
  const tensors = source.endsWith(".safetensors")
    ? decodeSafetensors(bytes, source).tensors
    : decodePyTorch(bytes, source);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return { hash, values: (name, shape) => valuesOf(tensors, name, shape, source) };
}

function valuesOf(
  tensors: ReadonlyMap<string, HostTensor>,
  name: string,
  shape: readonly number[],
  source: string,
): Float32Array {
  const tensor = tensors.get(name);
  const good = tensor !== undefined && sameShape(tensor.shape, shape);
  if (good && tensor.values instanceof Float32Array) return tensor.values;
  throw new RangeError(
    `Cannot load ${source}: ${name} must be float32 ${showShape(shape)}, got ${
      tensor === undefined ? "none" : showShape(tensor.shape)
    }`,
  );
}
