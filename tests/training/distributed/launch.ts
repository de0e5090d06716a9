/** Starts small programs under the mpiruns of this machine. */
import { fileURLToPath } from "node:url";

/** A launcher of MPI. */
export interface TestMpi {
  readonly name: "Open MPI" | "MPICH";
  readonly command: string;
}

async function kindOf(command: string): Promise<TestMpi["name"] | undefined> {
  try {
    const { stdout } = await new Deno.Command(command, { args: ["--version"] }).output();
    const text = new TextDecoder().decode(stdout);
    return /Open MPI|OpenRTE/.test(text) ? "Open MPI" : /HYDRA/.test(text) ? "MPICH" : undefined;
  } catch {
    return undefined;
  }
}

/** Finds the launchers, and prints what they are. Where Open MPI is missing, the output says so; where the environment
 * variable CI is set, that fails the file.
 * @throws {Error} CI is set and there is no Open MPI
 */
export async function findTestMpis(): Promise<readonly TestMpi[]> {
  const found = new Map<string, TestMpi>();
  for (const command of ["mpirun.openmpi", "mpirun.mpich", "mpirun"]) {
    const name = await kindOf(command);
    if (name !== undefined && !found.has(name)) found.set(name, { name, command });
  }
  if (found.size > 0) console.log(`MPI under test: ${[...found.keys()].join(", ")}`);
  if (!found.has("Open MPI")) {
    if (Deno.env.has("CI")) {
      throw new Error("Cannot test: Open MPI must be there where CI is set, got none");
    }
    console.log("MISSING Open MPI, its tests do not run: `apt-get install openmpi-bin` brings it");
  }
  return [...found.values()];
}

/** How a run ended. */
export interface Ended {
  readonly success: boolean;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** A program under mpirun. */
export interface Launched {
  /** What it prints, as it comes. */
  readonly lines: AsyncIterable<string>;
  readonly ended: Promise<Ended>;
  /** Of mpirun. */
  readonly pid: number;
}

/** The process of a rank that Open MPI's mpirun has started on Linux. */
export async function processOf({ pid }: Launched, rank: number): Promise<number> {
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  for (const child of children.trim().split(" ").map(Number)) {
    const environment = await Deno.readTextFile(`/proc/${child}/environ`);
    if (environment.split("\0").includes(`OMPI_COMM_WORLD_RANK=${rank}`)) return child;
  }
  throw new Error(`Cannot find the process of rank ${rank}: got ${children}`);
}

/** Lines of a stream, which is read whether or not anybody listens: a full pipe would stop the program. */
class Lines implements AsyncIterable<string> {
  readonly all: string[] = [];
  readonly ended: Promise<void>;
  #isOpen = true;
  #news = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#read(stream);
  }

  /** From the first line on, for whoever asks. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (let at = 0;;) {
      if (at < this.all.length) yield this.all[at++];
      else if (this.#isOpen) await this.#news.promise;
      else return;
    }
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      this.#tell(parts);
    }
    this.#isOpen = false;
    this.#tell(rest === "" ? [] : [rest]);
  }

  #tell(lines: readonly string[]): void {
    this.all.push(...lines);
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** Starts a program of this folder on some ranks.
 * @param program its file
 * @param permissions of Deno
 */
export function start(
  { name, command }: TestMpi,
  ranks: number,
  program: string,
  programArgs: readonly string[] = [],
  permissions: readonly string[] = ["-A"],
): Launched {
  const own = name === "Open MPI" ? ["--allow-run-as-root", "--oversubscribe"] : [];
  const path = fileURLToPath(new URL(program, import.meta.url));
  const deno = [Deno.execPath(), "run", "--no-check", "--no-prompt", ...permissions, path];
  const started = performance.now();
  const child = new Deno.Command(command, {
    args: [...own, "-n", String(ranks), ...deno, ...programArgs],
    env: { TMPDIR: "/tmp" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines = new Lines(child.stdout);
  const stderr = new Response(child.stderr).text();
  const end = async (): Promise<Ended> => {
    const { success, code } = await child.status;
    const milliseconds = performance.now() - started;
    await lines.ended;
    return { success, code, stdout: lines.all.join("\n"), stderr: await stderr, milliseconds };
  };
  return { lines, ended: end(), pid: child.pid };
}

/** Runs a program to its end. */
export function launch(...args: Parameters<typeof start>): Promise<Ended> {
  return start(...args).ended;
}
