/** One side of the comparison: a process that runs each work with one library. */
import process from "node:process";
import type { Shape } from "../../core/shape.ts";
import { inputPath, resultPath, type Work, type WorkName, WORKS } from "./works.ts";

/** A side's measurement of a work, printed as a line of JSON. */
export interface Sample {
  /** The work's name. */
  readonly work: string;
  /** The fastest run, in milliseconds; null if the library has no kernel for it. */
  readonly ms: number | null;
  /** The peak memory of the process until then. */
  readonly peakMiB: number;
}

/** A work whose inputs have the library's layout. */
export interface Prepared<A> {
  /** Runs it once. Only this is timed, together with the library's `finish`. */
  readonly once: () => readonly A[];
  /** Converts a result to channels last; by default it already is. */
  readonly channelsLast?: (result: A) => A;
}

/** How a library stores arrays and runs the work. */
export interface Library<A> {
  /** An array on the library's device. */
  put(values: Float32Array<ArrayBuffer>, shape: Shape): A;
  /** How each work is prepared; absent if there is no kernel for it. */
  readonly works: { readonly [W in WorkName]?: (...inputs: A[]) => Prepared<A> };
  /** Waits until the results are ready. */
  finish(results: readonly A[]): Promise<void>;
  /** Copies a result to the host. */
  read(result: A): Promise<ArrayBufferView<ArrayBuffer>>;
  /** Frees a result. */
  drop(result: A): void;
}

/** Whether sides are timed by processor time on one thread, which does not include the time of other programs. */
export const BY_PROCESSOR: boolean = Deno.env.get("CODEBOOK_BENCH_CLOCK") === "processor";

/** Milliseconds on the clock that is used for timing. */
function now(): number {
  if (!BY_PROCESSOR) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds of the fastest of some runs, after two warm-up runs. */
export async function leastOf(runs: number, body: () => Promise<void> | void): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 2 + runs; run++) {
    const started = now();
    await body();
    times.push(now() - started);
  }
  return Math.min(...times.slice(2));
}

/** Measured runs continue until both minima are reached. Slow ones stop at the limit. */
const LEAST_RUNS = 3, LEAST_MS = 1500, LIMIT_MS = 15_000;

/** Milliseconds of the fastest run, after two warm-up runs. */
export async function fastestRun(run: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  const started = performance.now();
  const spent = () => performance.now() - started; // By the wall clock, whatever the runs are timed by.
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

/** The peak memory of this process in MiB. On Linux, its resource usage would include the memory of its parent, but the
 * file in /proc does not. */
function peakMemory(): number {
  if (Deno.build.os !== "linux") return process.resourceUsage().maxRSS / 1024;
  const [, kib] = Deno.readTextFileSync("/proc/self/status").match(/VmHWM:\s*(\d+)/)!;
  return Number(kib) / 1024;
}

/** Prints the measurement, for the process that compares. */
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

/** Runs the works named on the command line after the folder of their inputs, prints a sample of each, writes its result
 * to the folder, and ends the process. */
export async function runSide<A>(library: Library<A>, args: readonly string[]): Promise<never> {
  const [folder, ...names] = args;
  for (const name of names) await measure(library, name as WorkName, folder);
  Deno.exit(0);
}
