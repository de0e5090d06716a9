/** Times kernels on the GPU: each runs in a separate pass between two timestamps. */
import type { KernelClock, Span } from "../backend.ts";

/** How many passes fit into a query set: two timestamps each, up to WebGPU's maximum. */
const PASSES_PER_SET = 2048;
const CALIBRATION_MS = 50;

/** The length of a tick in nanoseconds. The standard says 1, but Deno does not convert if the adapter counts
 * differently. Those adapters' ticks are ten nanoseconds and longer, so a measurement below two is 1 on a busy machine.
 * @param ticks the number of ticks that passed
 * @param ms the milliseconds that passed in the same time, accurate to a tenth
 */
export function tickOf(ticks: number, ms: number): number {
  const measured = ms * 1e6 / ticks;
  return Math.abs(Math.log2(measured)) < 1 ? 1 : measured;
}

/** Times kernels with timestamp queries. */
export class PassClock implements KernelClock {
  readonly description = "timestamp queries on the GPU, each kernel in a pass of its own";
  readonly #device: GPUDevice;
  readonly #endPass: () => void;
  #sets: GPUQuerySet[] = [];
  #begun = 0;
  #submitted: number[] = []; // when, by pass
  #kernels: number[] = []; // the first pass of each
  #timing = false;
  #tick: number | undefined;

  /** @param device a device with the feature `timestamp-query`
   * @param endPass ends the open pass, so that the next launch begins a new one
   */
  constructor(device: GPUDevice, endPass: () => void) {
    this.#device = device;
    this.#endPass = endPass;
  }

  time(kernel: () => void): void {
    this.#endPass();
    this.#kernels.push(this.#begun);
    this.#timing = true;
    try {
      kernel();
    } finally {
      this.#timing = false;
      this.#endPass();
    }
  }

  /** Where the next pass writes its timestamps; undefined outside of `time`. */
  pass(): GPUComputePassTimestampWrites | undefined {
    if (!this.#timing) return undefined;
    const slot = this.#begun++ % PASSES_PER_SET;
    if (slot === 0) this.#sets.push(this.#querySet(2 * PASSES_PER_SET));
    const querySet = this.#sets.at(-1)!;
    return { querySet, beginningOfPassWriteIndex: 2 * slot, endOfPassWriteIndex: 2 * slot + 1 };
  }

  /** Called before the passes begun so far are submitted. */
  submitting(): void {
    while (this.#submitted.length < this.#begun) this.#submitted.push(performance.now());
  }

  /** Aligns the GPU's clock with the host's as early as possible: no pass can begin before it was submitted. */
  async take(): Promise<readonly Span[]> {
    const tick = this.#tick ??= await this.#calibrate();
    const stamps = await Promise.all(
      this.#sets.map((set, index) =>
        this.#read(set, 2 * Math.min(this.#begun - index * PASSES_PER_SET, PASSES_PER_SET))
      ),
    );
    const at = (pass: number, side: 0 | 1): number => {
      const ticks = stamps[Math.floor(pass / PASSES_PER_SET)][2 * (pass % PASSES_PER_SET) + side];
      return Number(ticks - stamps[0][0]) * tick / 1e6;
    };
    const offset = this.#submitted.reduce((most, ms, pass) => Math.max(most, ms - at(pass, 0)), 0);
    let now = 0;
    const spans = this.#kernels.map((first, kernel): Span => {
      const next = this.#kernels[kernel + 1] ?? this.#begun;
      if (next === first) return { start: now, end: now };
      const start = Math.max(now, offset + at(first, 0));
      now = Math.max(start, offset + at(next - 1, 1));
      return { start, end: now };
    });
    for (const set of this.#sets) set.destroy();
    this.#sets = [];
    this.#begun = 0;
    this.#submitted = [];
    this.#kernels = [];
    return spans;
  }

  #querySet(count: number): GPUQuerySet {
    return this.#device.createQuerySet({ type: "timestamp", count });
  }

  /** Measures the length of a tick with two empty passes, some time apart. */
  async #calibrate(): Promise<number> {
    const querySet = this.#querySet(4);
    const submit = (index: number): number => {
      const encoder = this.#device.createCommandEncoder();
      const timestampWrites = {
        querySet,
        beginningOfPassWriteIndex: index,
        endOfPassWriteIndex: index + 1,
      };
      encoder.beginComputePass({ timestampWrites }).end();
      this.#device.queue.submit([encoder.finish()]);
      return performance.now();
    };
    await this.#device.queue.onSubmittedWorkDone();
    const first = submit(0);
    await new Promise((resolve) => setTimeout(resolve, CALIBRATION_MS));
    const second = submit(2);
    const stamps = await this.#read(querySet, 4);
    querySet.destroy();
    return tickOf(Number(stamps[2] - stamps[0]), second - first);
  }

  /** Reads the first `count` timestamps. Some drivers wait forever for a timestamp that no pass wrote. */
  async #read(set: GPUQuerySet, count: number): Promise<BigUint64Array> {
    const size = count * 8;
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const resolved = this.#device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC });
    const staging = this.#device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
    resolved.destroy();
    staging.destroy();
    return stamps;
  }
}
