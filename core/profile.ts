/** Profiling: which kernels ran when, on which shapes, and what the host did meanwhile. */
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
  /** The specs of its inputs. */
  readonly inputs: readonly Spec[];
  /** The specs of its outputs. */
  readonly outputs: readonly Spec[];
  /** The span of its call on the host. On some devices the call ends before the kernel begins. */
  readonly call: Span;
  /** `device.liveBytes` at the time of the call. */
  readonly liveBytes: number;
}

/** A named time span on the host. */
export interface Phase extends Span {
  /** The name given to `device.phase`. */
  readonly name: string;
}

/** What ran on a device during a time span. The device is idle at both ends. */
export interface Profile extends Span {
  /** What was profiled, in words. */
  readonly title: string;
  /** The device's description. */
  readonly device: string;
  /** How the kernels were timed, in words. */
  readonly clock: string;
  /** The kernels in order; they do not overlap. */
  readonly kernels: readonly KernelRun[];
  /** The phases of the host in order; in the last one it waits for the device. */
  readonly phases: readonly Phase[];
}

type KernelName = Exclude<OperationName, ViewName>;

const specOf = ({ shape, dtype }: Spec): Spec => ({ shape, dtype });

/** A clock for kernels that run exactly as long as their calls. */
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

/** A backend with the same behaviour, and the clock that times its kernels. */
function timedBackend(backend: Backend): readonly [Backend, KernelClock] {
  const { timing } = backend;
  if (timing === "call") return [backend, new CallClock()];
  if (timing !== "wait") return [backend, timing];
  const oneByOne = new OneByOne(backend);
  return [oneByOne, oneByOne];
}

/** Watches a device and records what it does. */
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

/** Profiles the work that `body` submits to the device. Waits for the device before and after.
 *
 * `device.phase` names the phase of the host that starts now. It does nothing outside a profile.
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
 * @param title the title of the profile
 * @throws {Error} the device is already being profiled, or `body` throws
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
