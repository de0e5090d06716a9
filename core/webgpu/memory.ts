/** GPU memory: buffers, their limits, and scratch space for kernels with several passes. */
import type { Buffer } from "../backend.ts";
import type { AdapterLimits } from "./adapter.ts";

/** A piece of GPU memory. */
export interface WebGpuBuffer extends Buffer {
  /** Its unique number, the key under which bind groups are cached. */
  readonly id: number;
  /** The memory. Its size is a multiple of 16 bytes, so that it can be accessed as vectors of four elements. */
  readonly gpu: GPUBuffer;
}

const ALIGNMENT = 16;

/** Allocates and frees buffers of one GPU device. */
export class GpuMemory {
  readonly #device: GPUDevice;
  readonly #limit: number;
  readonly #limitName: string;
  readonly #scratch: (WebGpuBuffer | undefined)[] = [];
  readonly #release: (buffer: WebGpuBuffer) => void;
  readonly #alive = new Set<GPUBuffer>();
  #count = 0;

  /** @param release called for each freed buffer; it destroys the memory when no work is pending on it */
  constructor(
    device: GPUDevice,
    limits: AdapterLimits,
    release: (buffer: WebGpuBuffer) => void,
  ) {
    const { maxBufferSize, maxStorageBufferBindingSize } = limits;
    this.#device = device;
    this.#limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    this.#limitName = maxBufferSize < maxStorageBufferBindingSize
      ? "maxBufferSize"
      : "maxStorageBufferBindingSize";
    this.#release = release;
  }

  /** Memory of at least `bytes` bytes; its contents are undefined.
   * @throws {RangeError} a kernel on this adapter cannot access that much
   */
  allocate(bytes: number): WebGpuBuffer {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    if (size > this.#limit) {
      throw new RangeError(
        `Cannot allocate GPU memory: a buffer may take at most ${this.#limit} bytes on this adapter (${this.#limitName}), got ${bytes}`,
      );
    }
    const gpu = this.#device.createBuffer({
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#alive.add(gpu);
    return { id: ++this.#count, bytes: size, gpu };
  }

  /** Frees memory on the GPU. */
  destroy({ gpu }: WebGpuBuffer): void {
    this.#alive.delete(gpu);
    gpu.destroy();
  }

  /** Frees all memory. */
  close(): void {
    for (const gpu of this.#alive) gpu.destroy();
    this.#alive.clear();
  }

  /** Scratch space number `slot`, for use within one kernel. The next kernel that asks for it gets the same memory. */
  scratch(slot: number, bytes: number): WebGpuBuffer {
    const current = this.#scratch[slot];
    if (current !== undefined && current.bytes >= bytes) return current;
    if (current !== undefined) this.#release(current);
    const doubled = 2 ** Math.ceil(Math.log2(Math.max(bytes, 4096)));
    const fresh = this.allocate(doubled <= this.#limit ? doubled : bytes);
    this.#scratch[slot] = fresh;
    return fresh;
  }
}
