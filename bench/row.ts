/** The results of a benchmark, and how it is measured. */
import type { Profile } from "../core/profile.ts";
import type { Device } from "../core/tensor.ts";

/** A size that a benchmark varies while the others stay fixed. */
export interface Varied {
  /** What is measured at every value. */
  readonly of: string;
  /** The name of the size. */
  readonly size: string;
  /** Its value in this row. */
  readonly value: number;
  /** The exponent of the number of operations: 1 if it grows in proportion to the size. */
  readonly expected: number;
}

/** One measurement. */
export interface BenchRow {
  /** The name of the benchmark. */
  readonly bench: string;
  /** The device. */
  readonly device: string;
  /** What was computed, with its sizes. */
  readonly shape: string;
  /** The fastest run, in milliseconds. */
  readonly ms: number;
  /** 10⁹ floating-point operations per second, for arithmetic-bound work. */
  readonly gflops?: number;
  /** 10⁹ bytes read and written per second, for memory-bound work. */
  readonly gigabytes_per_second?: number;
  /** Images per second, for whole steps. */
  readonly images_per_second?: number;
  /** The fraction of this machine's measured limit that was reached, if it was measured. */
  readonly share?: number;
  /** The number of threads of the device cpu, or of the image loader. */
  readonly threads?: number;
  /** The size that is varied, when several sizes are measured. */
  readonly varied?: Varied;
}

/** How a benchmark is run. */
export interface BenchOptions {
  /** The batch size. */
  readonly batch: number;
  /** The number of measured runs, after a few warm-up runs. */
  readonly runs: number;
  /** Whether to measure a range of sizes instead of the usual ones. */
  readonly scaling: boolean;
  /** Called with a profile of whole steps, taken after their measurement. */
  readonly onProfile?: (profile: Profile) => void;
}

/** A benchmark, which yields its rows one after another. */
export type Bench = (device: Device, options: BenchOptions) => AsyncGenerator<BenchRow>;

const WARM_UP = 3;
/** The minimum length of a run in milliseconds on devices where waiting takes long: about 11 ms on a GPU. */
const LONGER_THAN_A_WAIT = 100;

/** The milliseconds of the fastest of several runs, each with a wait for the device. Tensors from a run are recycled. On
 * an asynchronous device, a run repeats the body often enough that the wait is small in comparison. */
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

/** A row for arithmetic-bound work.
 * @param operations the number of floating-point operations in a run
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
