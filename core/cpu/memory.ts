/** The memory of the CPU device: one shared WebAssembly memory, handed out in pieces. */
import type { Buffer } from "../backend.ts";

const PAGE = 65536;
/** The most that WebAssembly can address: 4 GiB. */
const MAXIMUM_PAGES = 65536;
/** The most bytes that the device can hold. */
export const MOST_BYTES: number = MAXIMUM_PAGES * PAGE;
/** The minimum for opening the device: 64 MiB. */
const MINIMUM_PAGES = 1024;
const ALIGNMENT = 64;
/** Bytes kept free at the end, as kernels may read (never write) a few floats beyond an array. */
const SLACK = 256;

/** A piece of the CPU device's memory. */
export class CpuBuffer implements Buffer {
  /** Its start, in bytes from the start of the memory. */
  readonly address: number;
  /** Usable length in bytes. */
  readonly bytes: number;

  /** Called by `CpuMemory` only. */
  constructor(address: number, bytes: number) {
    this.address = address;
    this.bytes = bytes;
  }
}

interface Gap {
  address: number;
  bytes: number;
}

/** Reserves as much address space as possible; the system provides the memory on first access. The memory never grows
 * afterwards, because threads notice growth late, and until then accesses to the new part trap.
 */
function reserve(): WebAssembly.Memory {
  for (let pages = MAXIMUM_PAGES;; pages /= 2) {
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      if (pages > MINIMUM_PAGES) continue;
      throw new RangeError(
        `Cannot open the cpu device: it needs ${pages * PAGE} bytes of address space, got less`,
        { cause },
      );
    }
  }
}

/** Hands out 64-byte-aligned pieces of a memory; freed neighbours merge. */
export class CpuMemory {
  /** What the kernels import. */
  readonly memory: WebAssembly.Memory = reserve();
  #top = 0;
  #used = 0;
  readonly #gaps: Gap[] = []; // by address; none touches another or the top
  readonly #live = new Set<CpuBuffer>();
  readonly #floats = new Float32Array(this.memory.buffer);
  readonly #integers = new Int32Array(this.memory.buffer);
  #workspace: CpuBuffer = new CpuBuffer(0, 0);

  /** Sets the end of the kernels' own data. Called once, before anything is allocated. */
  begin(heapBase: number): void {
    this.#top = Math.ceil(heapBase / ALIGNMENT) * ALIGNMENT;
  }

  /** Memory of at least `bytes` bytes; its contents are undefined.
   * @throws {RangeError} the device's address space is too small
   */
  allocate(bytes: number): CpuBuffer {
    const length = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const address = this.#takeGap(length) ?? this.#extend(length, bytes);
    const buffer = new CpuBuffer(address, length);
    this.#live.add(buffer);
    this.#used += length;
    return buffer;
  }

  /** Frees memory.
   * @throws {Error} the memory is not in use
   */
  free(buffer: CpuBuffer): void {
    if (!this.#live.delete(buffer)) {
      throw new Error(
        `Cannot free memory: it must be in use, got a buffer of ${buffer.bytes} bytes that is not`,
      );
    }
    const { address, bytes } = buffer;
    this.#used -= bytes;
    this.#insertGap({ address, bytes });
  }

  /** Scratch memory for one kernel call, of at least `bytes` bytes; the next call overwrites it. */
  workspace(bytes: number): number {
    if (bytes > this.#workspace.bytes) {
      if (this.#workspace.bytes > 0) this.free(this.#workspace);
      this.#workspace = new CpuBuffer(0, 0);
      this.#workspace = this.allocate(bytes);
    }
    return this.#workspace.address;
  }

  /** The float32 values at an address. */
  floats(address: number, length: number): Float32Array {
    return this.#floats.subarray(address / 4, address / 4 + length);
  }

  /** The int32 values at an address. */
  integers(address: number, length: number): Int32Array {
    return this.#integers.subarray(address / 4, address / 4 + length);
  }

  #takeGap(length: number): number | undefined {
    let best = -1;
    for (let index = 0; index < this.#gaps.length; index++) {
      const { bytes } = this.#gaps[index];
      if (bytes >= length && (best < 0 || bytes < this.#gaps[best].bytes)) best = index;
    }
    if (best < 0) return undefined;
    const gap = this.#gaps[best];
    const { address } = gap;
    if (gap.bytes === length) {
      this.#gaps.splice(best, 1);
    } else {
      gap.address += length;
      gap.bytes -= length;
    }
    return address;
  }

  #extend(length: number, asked: number): number {
    const address = this.#top, room = this.memory.buffer.byteLength - SLACK;
    if (address + length > room) {
      throw new RangeError(
        `Cannot allocate ${asked} bytes: the cpu device holds ${room} bytes at most, got ${this.#used} already in use`,
      );
    }
    this.#top += length;
    return address;
  }

  #insertGap(gap: Gap): void {
    let low = 0;
    let high = this.#gaps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#gaps[middle].address < gap.address) low = middle + 1;
      else high = middle;
    }
    this.#gaps.splice(low, 0, gap);
    const next = this.#gaps[low + 1];
    if (next !== undefined && gap.address + gap.bytes === next.address) {
      gap.bytes += next.bytes;
      this.#gaps.splice(low + 1, 1);
    }
    const previous = this.#gaps[low - 1];
    if (previous !== undefined && previous.address + previous.bytes === gap.address) {
      previous.bytes += gap.bytes;
      this.#gaps.splice(low, 1);
    }
    const last = this.#gaps.at(-1);
    if (last !== undefined && last.address + last.bytes === this.#top) {
      this.#top = last.address;
      this.#gaps.pop();
    }
  }
}
