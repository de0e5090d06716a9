/** Tests of mixed precision: where the adapter has float16, and a device that rounds as it does everywhere. */
import { type Backend, wrapKernels } from "../core/backend.ts";
import type { Precision } from "../core/precision.ts";
import { sizeOf } from "../core/shape.ts";
import { Device } from "../core/tensor.ts";
import { ReferenceBuffer } from "../core/reference/buffer.ts";
import { openReferenceBackend } from "../core/reference/backend.ts";
import { findAdapter } from "../core/webgpu/adapter.ts";

/** Whether this machine's adapter computes with float16. */
export const hasFloat16: boolean = (await findAdapter())?.features.includes("shader-f16") ?? false;

/** Registers a test that needs float16 on webgpu; where there is none, names it as missing. */
export function testMixed(name: string, body: () => Promise<void>): void {
  if (hasFloat16) Deno.test(name, body);
  else console.log(`MISSING float16 on webgpu, not tested: ${name}`);
}

const CONVOLUTIONS: readonly string[] = ["conv2d", "convTranspose2d", "conv2dFilter"];

/** Values rounded to float16, scaled so that the largest magnitude lies in [32, 64). */
function roundToHalves(values: Float32Array): Float32Array<ArrayBuffer> {
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const scale = largest === 0 ? 1 : 2 ** (5 - Math.floor(Math.log2(largest)));
  return Float32Array.from(values, (x) => Math.f16round(x * scale) / scale);
}

/** The reference device, with the operands of products and convolutions (not the bias) rounded to float16 first; their
 * products and sums are not. */
export function openRoundedReference(): Device {
  const backend = openReferenceBackend();
  const kernels = wrapKernels(backend.kernels, (name, kernel) => (inputs, outputs, attributes) => {
    const { precision } = attributes as { readonly precision?: Precision };
    const rounds = CONVOLUTIONS.includes(name) || name === "matmul" && precision === "mixed";
    if (!rounds) return kernel(inputs, outputs, attributes);
    const [a, b, ...bias] = inputs;
    const rounded = [a, b].map(({ shape, dtype, buffer }) => {
      const halves = roundToHalves(new Float32Array(buffer.memory, 0, sizeOf(shape)));
      const own = new ReferenceBuffer(halves.byteLength);
      new Float32Array(own.memory).set(halves);
      return { shape, dtype, buffer: own };
    });
    kernel([...rounded, ...bias], outputs, attributes);
  });
  const rounding: unknown = { ...backend, precision: "mixed", kernels };
  return new Device(rounding as Backend);
}
