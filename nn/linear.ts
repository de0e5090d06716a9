/** The linear layer. */
import { add } from "../core/functions/elementwise.ts";
import { matmul } from "../core/functions/products.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { fanInUniform, partKey } from "./initializers.ts";
import { Layer } from "./module.ts";

/** Options of a linear layer. */
export interface LinearOptions {
  /** The random key of the initial values. */
  readonly key: RandomKey;
  /** Whether to add a bias; by default true. */
  readonly bias?: boolean;
}

/** y = x·W + b for x `[..., inputs]`; W is `[inputs, outputs]`. */
export class Linear extends Layer {
  /** `[inputs, outputs]`. */
  readonly weight: Tensor;
  /** `[outputs]`. */
  readonly bias: Tensor | undefined;

  /** Makes the layer, with uniform initial values in ±1/√inputs (PyTorch's default). */
  constructor(device: Device, inputs: number, outputs: number, options: LinearOptions) {
    super();
    const { key, bias = true } = options;
    this.weight = fanInUniform(device, [inputs, outputs], inputs, partKey(key, 0));
    this.bias = bias ? fanInUniform(device, [outputs], inputs, partKey(key, 1)) : undefined;
  }

  /** `[..., inputs]` → `[..., outputs]`. */
  forward(x: Tensor): Tensor {
    const product = matmul(x, this.weight, { precision: "mixed" });
    return this.bias === undefined ? product : add(product, this.bias);
  }
}
