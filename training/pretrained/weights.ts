/** Reads published weight files. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { HostTensor } from "../../core/host_tensor.ts";
import { parseJson } from "../../files/bounded_json.ts";
import { readPyTorch } from "../../files/pytorch_file.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { DamagedFileError, readWhole } from "../read_back.ts";

/** The tensors of a file, and the settings beside it. */
export interface PretrainedFile {
  /** The name of the file in messages. */
  readonly path: string;
  /** The tensors by their names in the file. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** The contents of `config.json`, if the path is a folder. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Tensors that were not imported, with the reason. */
export interface LeftOut {
  /** The reason. */
  readonly reason: string;
  /** Their names in the file. */
  readonly names: readonly string[];
}

/** The weight files in a diffusers folder, in the order in which they are searched. */
const IN_FOLDER = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"];

/** Reads a PyTorch file, a safetensors file, or a diffusers folder. No code in them is executed.
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} the file is damaged, or contains anything but tensors and plain values
 */
export async function readPretrained(path: string): Promise<PretrainedFile> {
  const isFolder = await stat(path).then((entry) => entry.isDirectory(), () => false);
  if (!isFolder) return { path, tensors: await readTensors(path), config: {} };
  const settings = join(path, "config.json"), bytes = await readWhole(settings);
  if (bytes === undefined) {
    throw new DamagedFileError(settings, "a folder of diffusers must have it", "none");
  }
  const config: unknown = parseJson(new TextDecoder().decode(bytes), settings);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new DamagedFileError(settings, "it must be an object of settings", typeof config);
  }
  for (const name of IN_FOLDER) {
    const file = join(path, name);
    const isThere = await stat(file).then(() => true, () => false);
    if (isThere) return { path, tensors: await readTensors(file), config: { ...config } };
  }
  throw new Error(`Cannot read ${path}: the folder must hold ${IN_FOLDER.join(" or ")}, got none`);
}

async function readTensors(path: string): Promise<ReadonlyMap<string, HostTensor>> {
  return path.endsWith(".safetensors")
    ? (await readSafetensors(path)).tensors
    : await readPyTorch(path);
}
