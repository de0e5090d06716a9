/** Initial values of parameters: PyTorch's defaults, so that training curves can be compared. */
import { uniform } from "../core/functions/creation.ts";
import { parameter } from "../core/execute.ts";
import type { RandomKey } from "../core/random.ts";
import type { Shape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";

/** A parameter with uniform values in ±1/√fanIn: PyTorch's default for linear and convolution layers, both for weights
 * (Kaiming uniform with a = √5) and for biases.
 * @param fanIn how many inputs each output sums over
 */
export function fanInUniform(
  device: Device,
  shape: Shape,
  fanIn: number,
  key: RandomKey,
): Tensor {
  const bound = 1 / Math.sqrt(fanIn);
  return parameter(uniform(device, shape, key, -bound, bound));
}

/** Derives a key for one part of something: the same seed and step, but a separate stream. */
export function partKey(key: RandomKey, part: number): RandomKey {
  return { ...key, stream: Math.imul(key.stream ^ (part + 1), 0x9e3779b1) >>> 0 };
}

/** Sets the weight and the bias of a layer to zero, so that it initially adds nothing.
 * @returns the layer
 */
export function zeroed<L extends { readonly weight: Tensor; readonly bias?: Tensor }>(layer: L): L {
  for (const tensor of [layer.weight, layer.bias]) tensor?.write(new Float32Array(tensor.size));
  return layer;
}
