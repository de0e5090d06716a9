/** Times kernels on devices where only waiting shows when they end. */
import {
  type Backend,
  type Buffer,
  type HostArray,
  type KernelClock,
  type Kernels,
  type Span,
  type View,
  wrapKernels,
} from "./backend.ts";
import type { Precision } from "./precision.ts";

/** Copies a view, because the tensor may be disposed of before the kernel runs. */
const viewOf = ({ shape, dtype, buffer }: View): View => ({ shape, dtype, buffer });

/** A backend that queues all requests until somebody waits. It then runs them in order, one kernel at a time, and waits
 * for each. This times kernels on a device that runs them after their calls have returned and that has no clock. Each
 * time includes one wait. */
export class OneByOne implements Backend, KernelClock {
  readonly description =
    "the host's clock, waiting for each kernel by itself: every time includes a wait";
  readonly precision: Precision;
  readonly kernels: Kernels<Buffer>;
  readonly timing: KernelClock = this;
  readonly #backend: Backend;
  #held: (() => Promise<void> | void)[] = [];
  #spans: Span[] = [];

  /** @param backend the backend whose kernels are timed */
  constructor(backend: Backend) {
    this.#backend = backend;
    this.precision = backend.precision;
    this.kernels = wrapKernels(backend.kernels, (_, kernel) => (inputs, outputs, attributes) => {
      const [from, to] = [inputs.map(viewOf), outputs.map(viewOf)];
      this.#held.push(async () => {
        const start = performance.now();
        kernel(from, to, attributes);
        await backend.synchronize();
        this.#spans.push({ start, end: performance.now() });
      });
    });
  }

  get name(): Backend["name"] {
    return this.#backend.name;
  }

  /** Calls a kernel of this backend, which times every kernel anyway. */
  time(kernel: () => void): void {
    kernel();
  }

  async take(): Promise<readonly Span[]> {
    await this.#release();
    const spans = this.#spans;
    this.#spans = [];
    return spans;
  }

  allocate(bytes: number): Buffer {
    return this.#backend.allocate(bytes);
  }

  free(buffer: Buffer): void {
    this.#held.push(() => this.#backend.free(buffer));
  }

  write(buffer: Buffer, data: HostArray): void {
    const values = data.slice();
    this.#held.push(() => this.#backend.write(buffer, values));
  }

  async read(buffer: Buffer, dtype: "float32" | "int32", length: number): Promise<HostArray> {
    await this.#release();
    return await this.#backend.read(buffer, dtype, length);
  }

  async synchronize(): Promise<void> {
    await this.#release();
    await this.#backend.synchronize();
  }

  close(): void {
    this.#backend.close();
  }

  async #release(): Promise<void> {
    while (this.#held.length > 0) await this.#held.shift()!();
  }
}
