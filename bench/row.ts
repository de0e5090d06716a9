/** What a benchmark gives, and how it is measured. */
import type { Profile } from "../core/profile.ts";
import type { Device } from "../core/tensor.ts";

/** One measurement. */
export interface BenchRow {
  /** The benchmark. */
  readonly bench: string;
  /** Which device. */
  readonly device: string;
  /** What was computed, in words and lengths. */
  readonly shape: string;
  /** The fastest run, in milliseconds. */
  readonly ms: number;
  /** 10⁹ floating-point operations a second, where arithmetic is the limit. */
  readonly gflops?: number;
  /** 10⁹ bytes read and written a second, where memory is the limit. */
  readonly gigabytes_per_second?: number;
  /** Images a second, of whole steps. */
  readonly images_per_second?: number;
  /** The part of this machine's measured ceiling that was reached, where one was measured. */
  readonly share?: number;
  /** How many threads the device cpu, or the loader of images, had. */
  readonly threads?: number;
}

/** How a benchmark is run. */
export interface BenchOptions {
  /** Images, or rows, at a time. */
  readonly batch: number;
  /** Runs that count; the first few do not. */
  readonly runs: number;
  /** Measures over several lengths instead of the usual ones. */
  readonly scaling: boolean;
  /** Takes a profile of whole steps after their measurement, for this to hear. */
  readonly onProfile?: (profile: Profile) => void;
}

/** A benchmark: gives its rows one after another. */
export type Bench = (device: Device, options: BenchOptions) => AsyncGenerator<BenchRow>;

const WARM_UP = 3;
/** Milliseconds that a run lasts at least where waiting for the device takes long by itself: about 11 ms on a GPU. */
const LONGER_THAN_A_WAIT = 100;

/** Milliseconds of the fastest of several runs, each waited for; what a run makes is recycled. Where a device computes
 * after the call, a run takes the body so many times that the wait is small beside them. */
export async function fastest(device: Device, runs: number, body: () => void): Promise<number> {
  const time = async (times: number): Promise<number> => {
    const started = performance.now();
    for (let time = 0; time < times; time++) {
      using _scope = device.scope();
      body();
    }
    await device.synchronize();
    return performance.now() - started;
  };
  for (let run = 0; run < WARM_UP; run++) await time(1);
  let times = 1;
  if (device.backend.timing !== "call") {
    while (await time(times) < LONGER_THAN_A_WAIT) times *= 2;
  }
  let least = Infinity;
  for (let run = 0; run < runs; run++) least = Math.min(least, await time(times));
  return least / times;
}

/** A row of arithmetic.
 * @param operations floating-point operations of a run
 */
export function arithmeticRow(
  bench: string,
  device: Device,
  shape: string,
  ms: number,
  operations: number,
): BenchRow {
  return { bench, device: device.name, shape, ms, gflops: operations / ms / 1e6 };
}
