/** The interface of a device: memory, and one kernel for every operation. */
import type { Attributes, OperationName, ViewName } from "./ops.ts";
import type { Precision } from "./precision.ts";
import type { Spec } from "./shape.ts";

/** A block of device memory. Each backend has its own subtype, which only that backend looks inside. */
export interface Buffer {
  /** Usable length in bytes, a multiple of 4. */
  readonly bytes: number;
}

/** A tensor as kernels see it. The data are contiguous and row-major, from the start of the buffer. */
export interface View<B extends Buffer = Buffer> extends Spec {
  /** The memory of the elements; it may be longer than needed. */
  readonly buffer: B;
}

/** Runs one operation: reads the inputs, writes the outputs (already allocated, with the shape rule's shapes).
 * The contents of a fresh output are undefined. An output never shares a buffer with an input. */
export type Kernel<A, B extends Buffer> = (
  inputs: readonly View<B>[],
  outputs: readonly View<B>[],
  attributes: A,
) => void;

/** A kernel for every operation except the views. A missing kernel is a compile error. */
export type Kernels<B extends Buffer> = {
  readonly [N in Exclude<OperationName, ViewName>]: Kernel<Attributes[N], B>;
};

/** A kernel of any operation. */
export type AnyKernel<B extends Buffer> = Kernel<unknown, B>;

/** Wraps every kernel. */
export function wrapKernels<B extends Buffer>(
  kernels: Kernels<B>,
  wrap: (name: keyof Kernels<B>, kernel: AnyKernel<B>) => AnyKernel<B>,
): Kernels<B> {
  const wrapped = Object.entries(kernels).map(([name, kernel]) => [
    name,
    wrap(name as keyof Kernels<B>, kernel as AnyKernel<B>),
  ]);
  return Object.fromEntries(wrapped);
}

/** The values of a tensor on the host. */
export type HostArray = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** The elements of a tensor in place, in memory that other threads may share. */
export type HostView = Float32Array<ArrayBufferLike> | Int32Array<ArrayBufferLike>;

/** The names of the devices. */
export type DeviceName = "reference" | "cpu" | "webgpu";

/** A time span, in milliseconds on the clock of `performance.now()`. */
export interface Span {
  /** Its beginning. */
  readonly start: number;
  /** Its end. */
  readonly end: number;
}

/** Times kernels. */
export interface KernelClock {
  /** How it measures time, in words. */
  readonly description: string;
  /** Calls a kernel and times the work that it submits. */
  time(kernel: () => void): void;
  /** Called when the device is idle: returns the spans of the kernels timed since the last call, in order. */
  take(): Promise<readonly Span[]>;
}

/** A device's memory and kernels. */
export interface Backend<B extends Buffer = Buffer> {
  /** Which device this is. */
  readonly name: DeviceName;
  /** A one-line description: the number of threads, or the adapter and whether it is a software adapter. */
  readonly description: string;
  /** The precision of layers. */
  readonly precision: Precision;
  /** The kernels. */
  readonly kernels: Kernels<B>;
  /** How to time a kernel. `call`: the kernel has finished when its call returns. `wait`: the kernel may still be
   * running then, so that the host must wait for the device to time it. Otherwise, the device's own clock. */
  readonly timing: "call" | "wait" | KernelClock;
  /** Memory of at least `bytes` bytes (a multiple of 4); its contents are undefined.
   * @throws {RangeError} the device cannot hold that much
   */
  allocate(bytes: number): B;
  /** Frees memory. Work already submitted on it still completes. */
  free(buffer: B): void;
  /** Copies host data to the start of a buffer, in sequence with the kernels. */
  write(buffer: B, data: HostArray): void;
  /** Waits for the kernels submitted so far and copies out `length` elements. */
  read(buffer: B, dtype: "float32" | "int32", length: number): Promise<HostArray>;
  /** The elements themselves, not a copy. Only for devices whose memory the host can access and whose kernels are
   * finished when their calls return. The elements may be read and written until the buffer is freed. */
  host?(buffer: B, dtype: "float32" | "int32", length: number): HostView;
  /** Waits until all submitted work is done.
   * @throws {Error} the device was lost, or work failed
   */
  synchronize(): Promise<void>;
  /** Stops the device; nothing may be used afterwards. */
  close(): void;
}

/** The same backend with other kernels. */
export function withKernels<B extends Buffer>(
  backend: Backend<B>,
  kernels: Kernels<B>,
): Backend<B> {
  const { name, description, precision, timing } = backend;
  return {
    name,
    description,
    precision,
    kernels,
    timing,
    allocate: (bytes) => backend.allocate(bytes),
    free: (buffer) => backend.free(buffer),
    write: (buffer, data) => backend.write(buffer, data),
    read: (buffer, dtype, length) => backend.read(buffer, dtype, length),
    host: backend.host?.bind(backend),
    synchronize: () => backend.synchronize(),
    close: () => backend.close(),
  };
}
