/** Convolution layers. Images are `[B, H, W, C]`. */
import { conv2d, convTranspose2d } from "../core/functions/products.ts";
import type { Pair } from "../core/ops.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { fanInUniform, partKey } from "./initializers.ts";
import { Layer } from "./module.ts";

/** Options of a convolution layer. A single number applies to both axes. */
export interface Conv2dOptions {
  /** The random key of the initial values. */
  readonly key: RandomKey;
  /** The kernel's size. */
  readonly kernelSize: number | Pair;
  /** The step in input pixels between neighbouring outputs (transposed: the reverse); by default 1. */
  readonly stride?: number | Pair;
  /** Zeros around the input (transposed: pixels cut from the output); by default none. */
  readonly padding?: number | Pair;
  /** The step in pixels between kernel taps; by default 1. */
  readonly dilation?: number | Pair;
  /** Whether to add a bias; by default true. */
  readonly bias?: boolean;
  /** Whether to apply relu to the result in the same pass; by default false. */
  readonly relu?: boolean;
}

const pair = (value: number | Pair): Pair => typeof value === "number" ? [value, value] : value;

/** Options of a convolution layer with asymmetric padding. */
export interface AsymmetricConv2dOptions extends Conv2dOptions {
  /** Zeros below and to the right of the input; by default `padding`, the number above and to the left. */
  readonly paddingAfter?: number | Pair;
}

/** Convolution `[B, H, W, inputs]` → `[B, H', W', outputs]`. */
export class Conv2d extends Layer {
  /** `[KH, KW, inputs, outputs]`. */
  readonly weight: Tensor;
  /** `[outputs]`. */
  readonly bias: Tensor | undefined;
  readonly #options: AsymmetricConv2dOptions;

  /** Makes the layer, with uniform initial values in ±1/√(inputs·KH·KW) (PyTorch's default). */
  constructor(device: Device, inputs: number, outputs: number, options: AsymmetricConv2dOptions) {
    super();
    const { key, bias = true } = options;
    const size = pair(options.kernelSize);
    const fanIn = inputs * size[0] * size[1];
    this.#options = options;
    this.weight = fanInUniform(device, [...size, inputs, outputs], fanIn, partKey(key, 0));
    this.bias = bias ? fanInUniform(device, [outputs], fanIn, partKey(key, 1)) : undefined;
  }

  /** `[B, H, W, inputs]` → `[B, H', W', outputs]`. */
  forward(x: Tensor): Tensor {
    const { stride, padding, paddingAfter, dilation, relu } = this.#options;
    const { weight, bias } = this;
    return conv2d(x, weight, { bias, stride, padding, paddingAfter, dilation, relu });
  }
}

/** Options of a transposed convolution layer. */
export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Rows and columns added to the output at the bottom and right; by default none. */
  readonly outputPadding?: number | Pair;
}

/** Transposed convolution `[B, H, W, inputs]` → `[B, H', W', outputs]`. */
export class ConvTranspose2d extends Layer {
  /** `[KH, KW, outputs, inputs]`: the filter of the convolution whose adjoint this is. */
  readonly weight: Tensor;
  /** `[outputs]`. */
  readonly bias: Tensor | undefined;
  readonly #options: ConvTranspose2dOptions;

  /** Makes the layer, with uniform initial values in ±1/√(outputs·KH·KW) (PyTorch's default for this layer). */
  constructor(device: Device, inputs: number, outputs: number, options: ConvTranspose2dOptions) {
    super();
    const { key, bias = true } = options;
    const size = pair(options.kernelSize);
    const fanIn = outputs * size[0] * size[1];
    this.#options = options;
    this.weight = fanInUniform(device, [...size, outputs, inputs], fanIn, partKey(key, 0));
    this.bias = bias ? fanInUniform(device, [outputs], fanIn, partKey(key, 1)) : undefined;
  }

  /** `[B, H, W, inputs]` → `[B, H', W', outputs]`. */
  forward(x: Tensor): Tensor {
    const { stride, padding, dilation, relu, outputPadding } = this.#options;
    const { weight, bias } = this;
    return convTranspose2d(x, weight, { bias, stride, padding, dilation, relu, outputPadding });
  }
}
