/** Runs readings in child processes, under a watchdog. */
import { fileURLToPath } from "node:url";
import type { Reading } from "./child.ts";

/** Bytes of memory at which a child is ended. */
const MOST_BYTES = 2 ** 31;
/** Milliseconds between two looks at a child that has not answered. */
const LOOK = 100;

/** A child process that reads inputs of one format, started when it is first needed and again after every end. */
export class FuzzReader {
  readonly #module: string;
  readonly #folder: string;
  readonly #patience: number;
  #child: Deno.ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** Starts nothing yet.
   * @param folder where the child writes its inputs
   * @param patience milliseconds after which a child that has not answered is ended
   */
  constructor(module: string, folder: string, patience: number) {
    this.#module = module;
    this.#folder = folder;
    this.#patience = patience;
  }

  /** Reads an input.
   * @returns how it went, or what ended the child
   */
  async read(seed: number): Promise<Reading | { readonly ended: string }> {
    this.#child ??= this.#start();
    const child = this.#child, stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(`${seed}\n`)).catch(() => {});
    stdin.releaseLock();
    let ended: string | undefined;
    const start = performance.now();
    const watch = setInterval(() => {
      const waited = performance.now() - start, bytes = residentBytes(child.pid);
      if (waited > this.#patience) ended ??= `no answer after ${Math.round(waited)} ms`;
      if (bytes > MOST_BYTES) ended ??= `${Math.round(bytes / 2 ** 20)} MiB of memory`;
      if (ended !== undefined) end(child);
    }, LOOK);
    const { done, value } = await this.#lines!.next();
    clearInterval(watch);
    if (!done) return JSON.parse(value);
    const { code, signal } = await child.status;
    await this.close();
    return { ended: ended ?? `the process ended with ${signal ?? code}` };
  }

  /** Ends the child. */
  async close(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    await child.stdin.close().catch(() => {});
    await child.status;
    await this.#lines!.return?.();
  }

  #start(): Deno.ChildProcess {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
        ...[fileURLToPath(new URL("child.ts", import.meta.url)), this.#module, this.#folder],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#lines = linesOf(child.stdout);
    return child;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let held = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (held + text).split("\n");
    held = lines.pop()!;
    yield* lines;
  }
}

function residentBytes(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return 1024 * Number(status.match(/VmRSS:\s*(\d+)/)?.[1] ?? 0);
  } catch {
    return 0; // It has ended.
  }
}

/** Ends a child, which may have ended by itself meanwhile. */
function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
  }
}
