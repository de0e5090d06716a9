/** Initial weights of transformers. */
import { assign, parameter } from "../../core/execute.ts";
import { normal } from "../../core/functions/creation.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";
import type { Module } from "../../nn/module.ts";

/** The standard deviation of the weights, as in GPT-2. */
export const DEVIATION = 0.02;

/** A parameter with initial values N(0, 0.02²). */
export function normalParameter(device: Device, shape: Shape, key: RandomKey): Tensor {
  return parameter(normal(device, shape, key, 0, DEVIATION));
}

/** Draws every matrix of a module from N(0, 0.02²) and sets every other bias to 0. Norms do not change. */
export function initializeWeights(module: Module, key: RandomKey): void {
  [...module.namedParameters()].forEach(([name, tensor], part) => {
    const { device, shape } = tensor;
    using _scope = device.scope();
    if (shape.length === 2) {
      assign(tensor, normal(device, shape, partKey(key, part), 0, DEVIATION));
    } else if (/\bbias$/.test(name)) {
      tensor.write(new Float32Array(tensor.size));
    }
  });
}
