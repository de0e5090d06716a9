/** Takes a profile: which kernels ran when, on what, and what the host did meanwhile. */
import {
  type AnyKernel,
  type Backend,
  type Buffer,
  type KernelClock,
  type Span,
  withKernels,
  wrapKernels,
} from "./backend.ts";
import { type Cost, costOf } from "./cost.ts";
import { OneByOne } from "./one_by_one.ts";
import type { Attributes, OperationName, ViewName } from "./ops.ts";
import type { Spec } from "./shape.ts";
import type { Device, Watcher } from "./tensor.ts";

/** One run of a kernel. */
export interface KernelRun extends Span, Cost {
  /** The operation. */
  readonly name: string;
  /** What it read. */
  readonly inputs: readonly Spec[];
  /** What it wrote. */
  readonly outputs: readonly Spec[];
  /** Its call on the host, which on some devices ends before the kernel begins. */
  readonly call: Span;
  /** `device.liveBytes` at the call. */
  readonly liveBytes: number;
}

/** A named stretch of the host's time. */
export interface Phase extends Span {
  /** What `device.phase` called it. */
  readonly name: string;
}

/** What ran on a device during a stretch of time, from an idle device to an idle one. */
export interface Profile extends Span {
  /** What was profiled, in words. */
  readonly title: string;
  /** The device's description. */
  readonly device: string;
  /** How the kernels were timed, in words. */
  readonly clock: string;
  /** The kernels, in order; none overlaps another. */
  readonly kernels: readonly KernelRun[];
  /** The host's phases, one after another, the last one waiting for the device. */
  readonly phases: readonly Phase[];
}

type KernelName = Exclude<OperationName, ViewName>;

const specOf = ({ shape, dtype }: Spec): Spec => ({ shape, dtype });

/** Takes the call of a kernel for its run. */
class CallClock implements KernelClock {
  readonly description = "the host's clock around each call, which lasts as long as the kernel";
  readonly #spans: Span[] = [];

  time(kernel: () => void): void {
    const start = performance.now();
    kernel();
    this.#spans.push({ start, end: performance.now() });
  }

  take(): Promise<readonly Span[]> {
    return Promise.resolve(this.#spans.splice(0));
  }
}

/** A backend that does the same, and the clock that times its kernels. */
function timedBackend(backend: Backend): readonly [Backend, KernelClock] {
  const { timing } = backend;
  if (timing === "call") return [backend, new CallClock()];
  if (timing !== "wait") return [backend, timing];
  const oneByOne = new OneByOne(backend);
  return [oneByOne, oneByOne];
}

/** Watches a device and writes down what it does. */
class Recorder implements Watcher {
  readonly backend: Backend;
  readonly clock: KernelClock;
  readonly #calls: Omit<KernelRun, keyof Span>[] = [];
  readonly #phases: { readonly name: string; readonly start: number }[] = [];

  constructor(device: Device) {
    const [backend, clock] = timedBackend(device.backend);
    this.clock = clock;
    const kernels = wrapKernels(
      backend.kernels,
      (name, kernel) => this.#watched(name, kernel, device),
    );
    this.backend = withKernels(backend, kernels);
  }

  phase(name: string): void {
    this.#phases.push({ name, start: performance.now() });
  }

  phases(end: number): readonly Phase[] {
    return this.#phases.map((phase, index) => ({
      ...phase,
      end: this.#phases[index + 1]?.start ?? end,
    }));
  }

  kernels(spans: readonly Span[]): readonly KernelRun[] {
    return this.#calls.map((call, index) => ({ ...call, ...spans[index] }));
  }

  #watched(name: KernelName, kernel: AnyKernel<Buffer>, device: Device): AnyKernel<Buffer> {
    return (inputs, outputs, attributes) => {
      const start = performance.now();
      this.clock.time(() => kernel(inputs, outputs, attributes));
      const call = { start, end: performance.now() };
      this.#calls.push({
        name,
        inputs: inputs.map(specOf),
        outputs: outputs.map(specOf),
        ...costOf(name, inputs, outputs, attributes as Attributes[KernelName]),
        call,
        liveBytes: device.liveBytes,
      });
    };
  }
}

/** Takes a profile of what `body` has the device do. It is idle before, and waited for afterwards.
 *
 * `device.phase` names what follows on the host; without a profile it does nothing, and kernels run as they are.
 *
 * ```ts
 * import { exp, openDevice, profile, showDearest, uniform, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("cpu");
 * const x = uniform(device, [64, 64], randomKey(1, "x"));
 * const taken = await profile(device, "two exponentials", () => {
 *   device.phase("forward");
 *   exp(exp(x)).dispose();
 * });
 * assert.deepEqual(taken.kernels.map(({ name }) => name), ["exp", "exp"]);
 * console.log(showDearest(taken));
 * ```
 * @param title of the profile
 * @throws {Error} a profile of the device is being taken already; or what `body` throws
 */
export async function profile(
  device: Device,
  title: string,
  body: () => Promise<void> | void,
): Promise<Profile> {
  await device.synchronize();
  const recorder = new Recorder(device);
  using _watched = device.watch(recorder);
  const start = performance.now();
  let end = start;
  let spans: readonly Span[] = [];
  try {
    await body();
    recorder.phase("wait");
  } finally {
    await device.synchronize();
    end = performance.now();
    spans = await recorder.clock.take();
  }
  return {
    title,
    device: device.description,
    clock: recorder.clock.description,
    start,
    end,
    kernels: recorder.kernels(spans),
    phases: recorder.phases(end),
  };
}
