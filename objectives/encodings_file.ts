/** Encodings of images in a file of the user's cache folder, for all runs over the same first stage and data set. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { HostArray } from "../core/backend.ts";
import { cacheFolder } from "../core/cache_folder.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import { PARTIAL_SUFFIX } from "../files/atomic_write.ts";
import { awaitLock, takeLock } from "../files/folder_lock.ts";
import { encodeHeader } from "../files/safetensors_bytes.ts";
import { readSafetensorsHeader } from "../files/safetensors.ts";

/** Some encodings, in the order of their rows. */
export interface EncodedRows {
  /** The row of the first encoding. */
  readonly row: number;
  /** The shape of one encoding. */
  readonly shape: Shape;
  /** The values of the encodings, one after another. */
  readonly values: HostArray;
}

/** Encodings by their rows. */
export interface RowStore extends Disposable {
  /** The shape of one encoding. */
  readonly shape: Shape;
  /** Reads rows.
   * @returns the encodings one after another
   */
  read(rows: readonly number[]): HostArray;
}

/** The contents of a file of encodings, and how they are computed. */
export interface EncodingsFileOptions {
  /** Everything that the encodings depend on. */
  readonly key: string;
  /** The number of encodings. */
  readonly rows: number;
  /** Encodes all images. */
  readonly encode: () => AsyncIterable<EncodedRows>;
  /** Called with messages: where the file is, and why it is made again. */
  readonly onMessage: (message: string) => void;
}

const NAME = "encodings";

/** Opens the file of some encodings, or makes it. Of several processes, one makes the file and the others wait. The file
 * gets its final name only when it is complete. A file that is damaged, or that holds other encodings, is made again.
 * @throws {Error} there is no cache folder, or it cannot be written
 */
export async function openEncodings(options: EncodingsFileOptions): Promise<RowStore> {
  const { key, onMessage } = options;
  const folder = encodingsFolder();
  const name = createHash("sha256").update(key).digest("hex").slice(0, 24);
  const path = join(folder, `${name}.safetensors`);
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new Error(
      `Cannot keep encodings in ${folder}: it must be a folder that can be created and written to, got ${cause.message}`,
      { cause },
    );
  });
  const lock = `${path}.lock`;
  await awaitLock(lock, (holder) => onMessage(`waiting for ${holder} to encode the images`));
  const taken = await takeLock(lock);
  using _lock = typeof taken === "string" ? undefined : taken;
  if (await exists(path)) {
    const found = await openWhole(path, options).catch((cause: Error) => cause);
    if (!(found instanceof Error)) {
      onMessage(`reading the encoded training images from ${path}`);
      return found;
    }
    onMessage(`${found.message}: the training images are encoded again`);
  } else {
    onMessage(`keeping the encoded training images in ${path}`);
  }
  await write(path, options);
  return await openWhole(path, options);
}

/** The folder for files of encodings. */
function encodingsFolder(): string {
  const folder = cacheFolder((name) => Deno.env.get(name), Deno.build.os);
  if (folder !== undefined) return join(folder, "encodings");
  throw new Error(
    "Cannot keep encodings in a file: the environment must name a cache folder (CODEBOOK_CACHE, or a home), got none",
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Opens a file if it holds the requested encodings.
 * @throws {Error} the file does not hold them
 */
async function openWhole(
  path: string,
  { key, rows }: EncodingsFileOptions,
): Promise<RowStore> {
  const { header: { entries, metadata }, start } = await readSafetensorsHeader(path);
  const [entry] = entries;
  if (
    metadata.get("key") !== key || entries.length !== 1 || entry.name !== NAME ||
    entry.dtype === "F16" || entry.shape[0] !== rows
  ) {
    throw new RangeError(
      `Cannot use ${path}: it must hold ${rows} encodings of these images by this first stage, got others`,
    );
  }
  return new EncodingsFile(path, start, entry.shape.slice(1), entry.dtype);
}

class EncodingsFile implements RowStore {
  readonly shape: Shape;
  readonly #path: string;
  readonly #file: number;
  readonly #start: number;
  readonly #dtype: "F32" | "I32";

  constructor(path: string, start: number, shape: Shape, dtype: "F32" | "I32") {
    this.#path = path;
    this.#file = openSync(path, "r");
    this.#start = start;
    this.shape = shape;
    this.#dtype = dtype;
  }

  read(rows: readonly number[]): HostArray {
    const size = 4 * sizeOf(this.shape), bytes = new Uint8Array(rows.length * size);
    for (const [place, row] of rows.entries()) {
      for (let filled = 0; filled < size;) {
        const [to, from] = [place * size + filled, this.#start + row * size + filled];
        const taken = readSync(this.#file, bytes, to, size - filled, from);
        if (taken === 0) {
          throw new Error(
            `Cannot read ${this.#path}: it must hold encoding ${row} of ${
              showShape(this.shape)
            }, got its end: it was changed meanwhile`,
          );
        }
        filled += taken;
      }
    }
    return this.#dtype === "F32" ? new Float32Array(bytes.buffer) : new Int32Array(bytes.buffer);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** Writes encodings as they are computed, then gives the file its final name. */
async function write(path: string, { key, rows, encode }: EncodingsFileOptions): Promise<void> {
  const partial = `${path}.${Deno.pid}${PARTIAL_SUFFIX}`;
  try {
    await using file = await open(partial, "w");
    let start: number | undefined;
    for await (const { row, shape, values } of encode()) {
      const size = 4 * sizeOf(shape);
      if (start === undefined) {
        const dtype = values instanceof Float32Array ? "F32" : "I32";
        const entry = {
          name: NAME,
          dtype,
          shape: [rows, ...shape],
          start: 0,
          end: rows * size,
        } as const;
        const header = encodeHeader({ entries: [entry], metadata: new Map([["key", key]]) });
        await writeAt(file, header, 0);
        start = header.length;
      }
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      await writeAt(file, bytes, start + row * size);
    }
    await file.sync();
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {});
    throw new Error(
      `Cannot keep encodings in ${path}: every image must be encoded and fit on the disk, got ${
        (cause as Error).message
      }`,
      { cause },
    );
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
}
