/** Where the weights of trained networks come from. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodePyTorch } from "../../files/pytorch_file.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { decodeSafetensors } from "../../files/safetensors_bytes.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import { regularSize } from "../../files/regular_file.ts";

/** The weights of a network, by PyTorch's names and in PyTorch's layouts. */
export interface Weights {
  /** Tells these weights from all others: the first 12 hexadecimal digits of the file's SHA-256. */
  readonly hash: string;
  /** A weight's values, row-major.
   * @throws {RangeError} there is none of that name, or it has another shape
   */
  values(name: string, shape: readonly number[]): Float32Array;
}

/** A file of weights that a network can be loaded from. */
export interface WeightFile {
  /** What it holds, for the message when it is missing. */
  readonly network: string;
  /** The names that it usually has; the first that is in the folder is taken. */
  readonly names: readonly string[];
}

/** Finds and reads a file of weights, safetensors or PyTorch.
 * @param folder where such files lie
 * @throws {Error} the folder cannot be read, or holds none of the file's names
 * @throws {RangeError} the file is damaged, or holds anything but tensors
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
 * @param source what the messages call the bytes: a path
 * @throws {RangeError} they are damaged, or hold anything but tensors
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
