/** The reference device: every kernel in plain TypeScript. It specifies the other devices, and tests compare them with
 * it.
 *
 * It is written for readers: the equation, then loops. Sums are computed in float64 and stored as float32.
 */
import type { Backend, HostArray, Kernels } from "../backend.ts";
import type { DType } from "../shape.ts";
import { ReferenceBuffer } from "./buffer.ts";
import { attentions } from "./kernels/attention.ts";
import { codes } from "./kernels/codes.ts";
import { crossEntropies } from "./kernels/cross_entropy.ts";
import { elementwise } from "./kernels/elementwise.ts";
import { maxPooling } from "./kernels/max_pool.ts";
import { movement } from "./kernels/movement.ts";
import { normalization } from "./kernels/normalization.ts";
import { optimizer } from "./kernels/optimizer.ts";
import { products } from "./kernels/products.ts";
import { random } from "./kernels/random.ts";
import { reductions } from "./kernels/reductions.ts";

const kernels: Kernels<ReferenceBuffer> = {
  ...elementwise,
  ...reductions,
  ...products,
  ...normalization,
  ...attentions,
  ...movement,
  ...maxPooling,
  ...codes,
  ...crossEntropies,
  ...random,
  ...optimizer,
};

function allocate(bytes: number): ReferenceBuffer {
  try {
    return new ReferenceBuffer(bytes);
  } catch (cause) {
    throw new RangeError(`Cannot allocate: the host must have the memory, got ${bytes} bytes`, {
      cause,
    });
  }
}

function host({ memory }: ReferenceBuffer, dtype: DType, length: number): HostArray {
  return dtype === "float32"
    ? new Float32Array(memory, 0, length)
    : new Int32Array(memory, 0, length);
}

/** Opens the reference device. A kernel is finished when its call returns.
 *
 * ```ts
 * import { openReferenceBackend } from "./backend.ts";
 * import assert from "node:assert/strict";
 * const backend = openReferenceBackend();
 * const x = { shape: [2], dtype: "float32", buffer: backend.allocate(8) } as const;
 * backend.write(x.buffer, new Float32Array([1, 2]));
 * const y = { ...x, buffer: backend.allocate(8) };
 * backend.kernels.square([x], [y], {});
 * assert.deepEqual(await backend.read(y.buffer, "float32", 2), new Float32Array([1, 4]));
 * ```
 */
export function openReferenceBackend(): Backend<ReferenceBuffer> {
  return {
    name: "reference",
    description: "reference: plain TypeScript on one thread",
    precision: "float32",
    kernels,
    timing: "call",
    allocate,
    free: (buffer) => buffer.free(),
    write(buffer, data) {
      const view = data instanceof Float32Array ? Float32Array : Int32Array;
      new view(buffer.memory).set(data);
    },
    read: (buffer, dtype, length) => Promise.resolve(host(buffer, dtype, length).slice()),
    host,
    synchronize: () => Promise.resolve(),
    close() {},
  };
}
