/** Downloads the files of data sets once, checks them, and keeps them. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import { setTimeout as wait } from "node:timers/promises";
import { PARTIAL_SUFFIX } from "../files/atomic_write.ts";
import { takeLock } from "../files/folder_lock.ts";
import type { OpenOptions } from "./kind.ts";

/** A file on the web. */
export interface RemoteFile {
  /** Its path relative to the folder of all data sets. */
  readonly path: string;
  /** The addresses to download it from. If one fails, the next is tried. */
  readonly addresses: readonly string[];
  /** Its length in bytes. */
  readonly bytes: number;
  /** The MD5 checksum given by its publisher, in hexadecimal digits. */
  readonly md5: string;
}

/** The settings of data sets that are downloaded. */
export interface DownloadSettings {
  /** The folder for downloads. */
  readonly root: string | null;
}

/** The schema of the folder for downloads. */
export const rootSetting: z.ZodType<string | null> = z.string().min(1).nullable().default(null)
  .describe("the folder for downloads; none: CODEBOOK_DATA, else ~/.cache/codebook");

/** The folder for downloads.
 * @param root the setting
 */
export function dataRoot(root: string | null): string {
  return root ?? Deno.env.get("CODEBOOK_DATA") ?? join(homedir(), ".cache", "codebook");
}

/** How often a download is resumed after a broken connection, before the next address is tried. */
const TRIES = 3;
/** Milliseconds without a byte after which a connection counts as broken. */
const STALL_LIMIT = 60_000;
/** Milliseconds between checks of a file that another process downloads. */
const LOOK = 500;
/** Progress is reported whenever this fraction of the file has been downloaded since the last report. */
const TOLD_EVERY = 0.1;

/** The path of a file, which is downloaded if it does not exist. An interrupted download resumes where it stopped. The
 * file gets its final name only when it is complete and its checksum is correct.
 * @param folder the folder of all data sets
 * @throws {RangeError} the file exists with a wrong checksum
 * @throws {Error} the file does not exist, and it cannot be downloaded from any address
 */
export async function haveFile(
  file: RemoteFile,
  folder: string,
  options: OpenOptions,
): Promise<string> {
  const path = join(folder, file.path);
  if (await sizeOf(path) !== undefined) {
    const sum = await md5Of(path);
    if (sum === file.md5) return path;
    throw new RangeError(
      `Cannot read ${path}: its MD5 sum must be ${file.md5}, got ${sum}; ` +
        "delete it to download it again",
    );
  }
  await mkdir(dirname(path), { recursive: true });
  using _lock = await soleDownload(path, file.path, options);
  if (await sizeOf(path) !== undefined) return await haveFile(file, folder, options);
  const reasons: string[] = [];
  for (const address of file.addresses) {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      try {
        await download(address, `${path}${PARTIAL_SUFFIX}`, file, options);
        await rename(`${path}${PARTIAL_SUFFIX}`, path);
        return path;
      } catch (error) {
        reasons.push(`${address}: ${(error as Error).message}`);
        if (error instanceof Refused) break;
      }
    }
  }
  throw new Error(
    `Cannot open ${file.path}: it must be downloaded, or placed at ${path} (from ${
      file.addresses[0]
    }, MD5 ${file.md5}), got ${reasons.at(-1)}`,
  );
}

/** Waits until no other process downloads a file, and keeps other processes from downloading it. */
async function soleDownload(
  path: string,
  name: string,
  { onMessage }: OpenOptions,
): Promise<Disposable> {
  for (let told = false;; told = true) {
    const lock = await takeLock(`${path}.lock`);
    if (typeof lock !== "string") return lock;
    if (!told) onMessage?.(`waiting for ${name}, which ${lock} downloads`);
    await wait(LOOK);
  }
}

/** The server returned something other than the file, so that trying again does not help. */
class Refused extends Error {}

/** Downloads the missing rest of a file, and checks the whole file. */
async function download(
  address: string,
  partial: string,
  { path, bytes, md5 }: RemoteFile,
  { onMessage, stallLimit = STALL_LIMIT }: OpenOptions,
): Promise<void> {
  using stall = new StallLimit(stallLimit);
  let have = await sizeOf(partial) ?? 0;
  if (have > bytes) have = 0;
  if (have < bytes) {
    const headers = { "accept-encoding": "identity", ...have > 0 && { range: `bytes=${have}-` } };
    const response = await fetch(address, { headers, signal: stall.signal });
    const goesOn = response.status === 206 &&
      response.headers.get("content-range")?.startsWith(`bytes ${have}-`);
    if (!response.ok || response.body === null || (response.status === 206 && !goesOn)) {
      await response.body?.cancel();
      throw new Refused(`the server answered ${response.status}`);
    }
    if (!goesOn) have = 0;
    const target = await open(partial, have === 0 ? "w" : "a");
    try {
      let told = Math.floor(have / bytes / TOLD_EVERY);
      for await (const chunk of response.body) {
        stall.restart();
        have += chunk.length;
        if (have > bytes) throw new Refused(`the file must have ${bytes} bytes, got more`);
        await target.writeFile(chunk);
        const now = Math.floor(have / bytes / TOLD_EVERY);
        if (now > told) onMessage?.(progress(path, have, bytes));
        told = now;
      }
      await target.sync();
    } finally {
      await target.close();
    }
    if (have < bytes) throw new Error(`the connection ended after ${have} of ${bytes} bytes`);
  }
  const sum = await md5Of(partial);
  if (sum === md5) return;
  await rm(partial);
  throw new Refused(`the MD5 sum must be ${md5}, got ${sum}`);
}

/** Aborts a download that has waited too long for bytes. */
class StallLimit implements Disposable {
  readonly #controller = new AbortController();
  readonly #limit: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Starts the time limit. */
  constructor(limit: number) {
    this.#limit = limit;
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Restarts the time limit when bytes arrive. */
  restart(): void {
    clearTimeout(this.#timer);
    const error = new Error(`no bytes arrived for ${this.#limit / 1000} s`);
    this.#timer = setTimeout(() => this.#controller.abort(error), this.#limit);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

function progress(path: string, have: number, bytes: number): string {
  const [done, all] = [have, bytes].map((count) => (count / 1e6).toFixed(1));
  return `downloading ${path}: ${done} of ${all} MB (${Math.floor(100 * have / bytes)} %)`;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(({ size }) => size, () => undefined);
}

async function md5Of(path: string): Promise<string> {
  const hash = createHash("md5");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
