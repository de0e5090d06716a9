/** Operands as halves (float16), for products in mixed precision.
 *
 * An operand is rounded once, in a separate launch, and stored as halves. Since the tiles of a product read each
 * element many times, both tilings then move half the bytes, and tiles in workgroup memory take half the space.
 *
 * Gradients are often smaller than the smallest float16. So a tensor is multiplied by a power of two that brings its
 * largest magnitude into [32, 64), and the product's float32 sums are divided by it again. Both steps are exact. Four
 * products of such halves sum to less than the largest float16, 65,504. Elements down to 2⁻¹⁹ of the largest keep all
 * their bits.
 */
import type { View } from "../backend.ts";
import type { Precision } from "../precision.ts";
import { sizeOf } from "../shape.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "./launch.ts";
import { largestMagnitude } from "./kernels/reductions.ts";
import type { WebGpuBuffer } from "./memory.ts";

/** The elements of an operand of a product. */
export interface Source {
  /** float32 elements or, with `largest`, scaled float16 ones. */
  readonly buffer: WebGpuBuffer;
  /** One word: the bits of the largest magnitude among the elements before scaling. */
  readonly largest?: WebGpuBuffer;
}

/** WGSL: computes the scale of halves from the word of their largest magnitude, and its inverse. Zeros, and tensors
 * that are not finite, are not scaled. */
export const SCALES = `
fn exponent(largest: u32) -> u32 {
  let e = largest >> 23u;
  return clamp(select(e, 132u, e == 0u || e == 255u), 8u, 251u);
}
fn scaled_up(largest: u32) -> f32 { return bitcast<f32>((259u - exponent(largest)) << 23u); }
fn scaled_back(largest: u32) -> f32 { return bitcast<f32>((exponent(largest) - 5u) << 23u); }`;

// The scratch slots of products: their parts use slot 2, and sums use 0 and 1.
const SLOTS = 3;

/** The operands of a product. If both the product's precision and the device's are mixed, they are converted to halves
 * in scratch space that lasts until the next product. */
export function sourcesOf(
  launcher: Launcher,
  operands: readonly View<WebGpuBuffer>[],
  precision: Precision,
): readonly Source[] {
  if (precision === "float32" || launcher.precision === "float32") return operands;
  return operands.map((operand, index) => halve(launcher, operand, SLOTS + 2 * index));
}

function halve(
  launcher: Launcher,
  { buffer, shape }: View<WebGpuBuffer>,
  slot: number,
): Source {
  const size = sizeOf(shape);
  const fours = Math.ceil(size / 4);
  const halves = launcher.scratch(slot, fours * 8);
  const largest = launcher.scratch(slot + 1, 4);
  largestMagnitude(launcher, buffer, largest, size);
  launcher.launch({
    key: "halve",
    shader: () => ({
      float16: true,
      inputs: ["x: vec4<f32>", "largest: u32"],
      outputs: ["halves: vec4<f16>"],
      numbers: ["fours: u32"],
      declarations: SCALES,
      workgroupSize: WORKGROUP_SIZE,
      body: `  if (index >= numbers.fours) { return; }
  halves[index] = vec4<f16>(x[index] * scaled_up(largest[0]));`,
    }),
    inputs: [buffer, largest],
    outputs: [halves],
    numbers: [fours],
    workgroups: workgroupsFor(fours),
  });
  return { buffer: halves, largest };
}
