/** Memory of the reference device: an ArrayBuffer, seen as either element type. */
import type { Buffer, Kernel, View } from "../backend.ts";
import { sizeOf } from "../shape.ts";

/** A piece of host memory. New memory contains NaN, to expose kernels that read it by mistake. */
export class ReferenceBuffer implements Buffer {
  /** Usable length in bytes. */
  readonly bytes: number;
  #memory: ArrayBuffer | undefined;

  /** Takes `bytes` bytes of host memory. */
  constructor(bytes: number) {
    this.bytes = bytes;
    this.#memory = new ArrayBuffer(bytes);
    new Float32Array(this.#memory).fill(NaN);
  }

  /** The memory.
   * @throws {Error} it was freed
   */
  get memory(): ArrayBuffer {
    if (this.#memory === undefined) {
      throw new Error("Cannot use a buffer: it must not be freed, got a freed one");
    }
    return this.#memory;
  }

  /** Frees the memory. Any later use throws. */
  free(): void {
    this.#memory = undefined;
  }
}

/** The kernel of an operation with attributes `A` on this device. */
export type ReferenceKernel<A> = Kernel<A, ReferenceBuffer>;

/** A tensor's elements as float32. */
export function floats({ buffer, shape }: View<ReferenceBuffer>): Float32Array<ArrayBuffer> {
  return new Float32Array(buffer.memory, 0, sizeOf(shape));
}

/** A tensor's elements as int32. */
export function ints({ buffer, shape }: View<ReferenceBuffer>): Int32Array<ArrayBuffer> {
  return new Int32Array(buffer.memory, 0, sizeOf(shape));
}

/** A tensor's elements in its own dtype. */
export function elements(
  view: View<ReferenceBuffer>,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  return view.dtype === "float32" ? floats(view) : ints(view);
}
