/** One side of the comparison: a process that does each piece of work with one library. */
import process from "node:process";
import type { Shape } from "../../core/shape.ts";
import { inputPath, resultPath, type Work, type WorkName, WORKS } from "./works.ts";

/** What a side says of a piece of work, one line of JSON each. */
export interface Sample {
  /** The work's name. */
  readonly work: string;
  /** The fastest run, in milliseconds; null where the library has no kernel for it. */
  readonly ms: number | null;
  /** The most memory that the process has held until then. */
  readonly peakMiB: number;
}

/** A piece of work whose inputs are laid out as the library wants them. */
export interface Prepared<A> {
  /** Does it once; only this is timed, together with the library's `finish`. */
  readonly once: () => readonly A[];
  /** Brings a result to channels last; by default it is. */
  readonly channelsLast?: (result: A) => A;
}

/** How a library holds arrays and does the work. */
export interface Library<A> {
  /** An array on the library's device. */
  put(values: Float32Array<ArrayBuffer>, shape: Shape): A;
  /** How each piece of work is prepared; absent where there is no kernel for it. */
  readonly works: { readonly [W in WorkName]?: (...inputs: A[]) => Prepared<A> };
  /** Waits until the results are there. */
  finish(results: readonly A[]): Promise<void>;
  /** Copies a result to the host. */
  read(result: A): Promise<ArrayBufferView<ArrayBuffer>>;
  /** Gives a result's memory back. */
  drop(result: A): void;
}

/** Whether sides are timed by the processor's time on one thread, which does not count what other programs take. */
export const BY_PROCESSOR: boolean = Deno.env.get("CODEBOOK_BENCH_CLOCK") === "processor";

/** Milliseconds on the clock that sides are timed by. */
function now(): number {
  if (!BY_PROCESSOR) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds of the fastest of some runs, after two that do not count. */
export async function leastOf(runs: number, body: () => Promise<void> | void): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 2 + runs; run++) {
    const started = now();
    await body();
    times.push(now() - started);
  }
  return Math.min(...times.slice(2));
}

/** Counted runs go on until so many have been made and so long has passed; slow ones stop at the limit. */
const LEAST_RUNS = 3, LEAST_MS = 1500, LIMIT_MS = 15_000;

/** Milliseconds of the fastest run, after two that do not count. */
export async function fastestRun(run: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  const started = performance.now();
  const spent = () => performance.now() - started; // However the runs are timed.
  for (let warmUp = 0; warmUp < 2 && spent() < LIMIT_MS; warmUp++) await run();
  const counting = spent();
  do {
    const before = now();
    await run();
    times.push(now() - before);
  } while (
    spent() < LIMIT_MS && (times.length < LEAST_RUNS || spent() - counting < LEAST_MS)
  );
  return Math.min(...times);
}

/** The most memory that this process has held, in MiB. On Linux its resource usage would count what its parent held
 * before; the kernel's own file does not. */
function peakMemory(): number {
  if (Deno.build.os !== "linux") return process.resourceUsage().maxRSS / 1024;
  const [, kib] = Deno.readTextFileSync("/proc/self/status").match(/VmHWM:\s*(\d+)/)!;
  return Number(kib) / 1024;
}

/** Prints what was measured, for the process that compares. */
export function report(work: string, ms: number | null): void {
  const sample: Sample = { work, ms, peakMiB: peakMemory() };
  console.log(JSON.stringify(sample));
}

async function measure<A>(library: Library<A>, name: WorkName, folder: string): Promise<void> {
  const prepare = library.works[name];
  if (prepare === undefined) return report(name, null);
  const work: Work = WORKS[name];
  const inputs: A[] = [];
  for (const [input, shape] of Object.entries(work.inputs)) {
    const bytes = await Deno.readFile(inputPath(folder, name, input));
    inputs.push(library.put(new Float32Array(bytes.buffer), shape));
  }
  const { once, channelsLast = (result) => result } = prepare(...inputs);
  const ms = await fastestRun(async () => {
    const results = once();
    await library.finish(results);
    results.forEach(library.drop);
  });
  report(name, ms);
  const parts: Uint8Array[] = [];
  for (const result of once()) {
    const { buffer, byteOffset, byteLength } = await library.read(channelsLast(result));
    parts.push(new Uint8Array(buffer, byteOffset, byteLength));
  }
  await Deno.writeFile(
    resultPath(folder, name),
    new Blob(parts as Uint8Array<ArrayBuffer>[]).stream(),
  );
}

/** Does the works named on the command line after the folder of their inputs, prints a sample of each, leaves its
 * result in the folder, and ends the process. */
export async function runSide<A>(library: Library<A>, args: readonly string[]): Promise<never> {
  const [folder, ...names] = args;
  for (const name of names) await measure(library, name as WorkName, folder);
  Deno.exit(0);
}
