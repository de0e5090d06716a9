/** Locks on folders and files, so that only one process at a time works there.
 *
 * A lock is the operating system's lock (`flock`) on a file. It ends with its process, even after a crash, so there are
 * no stale locks. The file names the holder, for messages to other processes. It is kept when the lock ends.
 * docs/locks.md describes the behaviour on network file systems.
 */
import { readFile } from "node:fs/promises";

/** Milliseconds between attempts to get a lock that another process holds. */
const LOOK = 200;

/** A lock, held until it is disposed of or its process ends. */
export interface FolderLock extends Disposable {
  /** The file. */
  readonly path: string;
}

/** Takes a lock, or tells who holds it.
 *
 * ```ts
 * import { takeLock } from "./folder_lock.ts";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempFile();
 * {
 *   const first = await takeLock(path);
 *   assert.ok(typeof first !== "string");
 *   using _held = first;
 *   assert.match(await takeLock(path) as string, /process \d+/);
 * }
 * const again = await takeLock(path);
 * if (typeof again !== "string") again[Symbol.dispose]();
 * await Deno.remove(path);
 * ```
 * @param path the lock file; its folder must exist
 * @returns the lock, or a description of its holder: `process 123 on host, since …`
 * @throws {Error} the file cannot be written
 */
export async function takeLock(path: string): Promise<FolderLock | string> {
  const mine = handedOver.get(path);
  if (mine !== undefined) {
    handedOver.delete(path);
    return mine;
  }
  const file = await Deno.open(path, { create: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    const holder = await readFile(path, "utf8").catch(() => "");
    return /^process \d{1,10} on [\w .-]{1,255}, since [\dTZ:.-]{1,40}$/.test(holder.trim())
      ? holder.trim()
      : "another process";
  }
  const words = `process ${Deno.pid} on ${await hostName()}, since ${new Date().toISOString()}\n`;
  await file.truncate(0);
  await file.write(new TextEncoder().encode(words));
  return { path, [Symbol.dispose]: () => file.close() };
}

/** Locks that `awaitLock` got and `takeLock` has not yet taken over. */
const handedOver = new Map<string, FolderLock>();

/** Waits for a lock and keeps it for the next `takeLock` of this process.
 * @param onWait called if another process holds it
 */
export async function awaitLock(path: string, onWait: (holder: string) => void): Promise<void> {
  for (let told = false;; told = true) {
    const lock = await takeLock(path);
    if (typeof lock !== "string") {
      handedOver.set(path, lock);
      return;
    }
    if (!told) onWait(lock);
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

/** The machine's name, if the permissions allow asking for it. */
async function hostName(): Promise<string> {
  const query = { name: "sys", kind: "hostname" } as const;
  if ((await Deno.permissions.query(query)).state === "granted") return Deno.hostname();
  return "an unnamed host";
}
