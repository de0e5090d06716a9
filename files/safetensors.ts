/** Reads and writes safetensors files. */
import { type FileHandle, open } from "node:fs/promises";
import type { HostTensor } from "../core/host_tensor.ts";
import { writeAtomically } from "./atomic_write.ts";
import { regularSize } from "./regular_file.ts";
import {
  checkRanges,
  encodeSafetensors,
  failing,
  findHeaderEnd,
  type SafetensorsContents,
  tensorOf,
} from "./safetensors_bytes.ts";
import { type Header, parseHeader } from "./safetensors_header.ts";

/** Reads a safetensors file: first the header, then the arrays. A file with a bad header is not read any further.
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} the contents are truncated or in another format (see `decodeSafetensors`)
 */
export async function readSafetensors(path: string): Promise<SafetensorsContents> {
  await using file = await openRegular(path);
  const { header, start, read } = await readHeader(file, path);
  const tensors = new Map<string, HostTensor>();
  for (const entry of header.entries) {
    const { buffer } = await read(start + entry.start, start + entry.end);
    tensors.set(entry.name, tensorOf(entry, buffer));
  }
  return { tensors, metadata: header.metadata };
}

/** Reads the header of a safetensors file, and checks that the file holds as many bytes of data as the header announces.
 * @returns the header, and where in the file the data start
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} the file is truncated or in another format
 */
export async function readSafetensorsHeader(
  path: string,
): Promise<{ readonly header: Header; readonly start: number }> {
  await using file = await openRegular(path);
  const { header, start } = await readHeader(file, path);
  return { header, start };
}

async function openRegular(path: string): Promise<FileHandle> {
  return await regularSize(path).then(() => open(path)).catch((cause) => unreadable(path, cause));
}

async function readHeader(file: FileHandle, path: string) {
  const fail = failing(path);
  const { size } = await file.stat().catch((cause) => unreadable(path, cause));
  const read = async (start: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = await readAt(file, start, end).catch((cause) => unreadable(path, cause));
    return bytes ?? fail(`the file must have ${size} bytes`, "less: it was changed meanwhile");
  };
  const start = findHeaderEnd(await read(0, Math.min(size, 9)), size, fail);
  const header = parseHeader(await read(8, start), fail);
  checkRanges(header, size - start, fail);
  return { header, start, read };
}

function unreadable(path: string, cause: Error): never {
  throw new Error(
    `Cannot read ${path}: the file must exist and be readable, got ${cause.message}`,
    { cause },
  );
}

/** Reads the bytes of a file between two offsets; undefined if the file ends before. */
async function readAt(
  file: FileHandle,
  start: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(end - start);
  for (let filled = 0; filled < bytes.length;) {
    const left = bytes.length - filled;
    const { bytesRead } = await file.read(bytes, filled, left, start + filled);
    if (bytesRead === 0) return undefined;
    filled += bytesRead;
  }
  return bytes;
}

/** Writes a safetensors file atomically: a crash leaves either the old file or the new one.
 * @param floats as in `encodeSafetensors`
 * @throws {TypeError | RangeError} as in `encodeSafetensors`
 * @throws {Error} the file cannot be written
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
  floats: "F32" | "F16" = "F32",
): Promise<void> {
  await writeAtomically(path, encodeSafetensors(tensors, metadata, floats));
}
