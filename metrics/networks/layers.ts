/** Building blocks of pretrained networks: convolutions with fixed weights. */
import {
  averagePool,
  broadcast,
  concatenate,
  maxPool,
  pad,
} from "../../core/functions/movement.ts";
import { ones } from "../../core/functions/creation.ts";
import { div } from "../../core/functions/elementwise.ts";
import { conv2d } from "../../core/functions/products.ts";
import type { Pair } from "../../core/ops.ts";
import { showShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Layer } from "../../nn/module.ts";
import type { Weights } from "./weights.ts";

/** The geometry of a convolution, and what follows it. */
export interface FrozenConvolutionOptions {
  /** Input channels. */
  readonly inputs: number;
  /** Output channels. */
  readonly outputs: number;
  /** The size of the kernel. */
  readonly size: Pair;
  /** The stride; by default 1. */
  readonly stride?: number;
  /** Zeros around the input; by default none. */
  readonly padding?: Pair;
}

/** A convolution, then relu. */
export class FrozenConvolution extends Layer {
  /** `[KH, KW, inputs, outputs]`. */
  readonly weight: Tensor;
  /** `[outputs]`. */
  readonly bias: Tensor;
  readonly #stride: number;
  readonly #padding: Pair;

  /** Takes a filter in PyTorch's layout `[outputs, inputs, KH, KW]`, and a bias. */
  constructor(
    device: Device,
    filter: Float32Array,
    bias: Float32Array,
    { inputs, outputs, size: [height, width], stride = 1, padding = [0, 0] }:
      FrozenConvolutionOptions,
  ) {
    super();
    const moved = new Float32Array(filter.length), taps = height * width;
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        const from = (output * inputs + input) * taps;
        for (let tap = 0; tap < taps; tap++) {
          moved[(tap * inputs + input) * outputs + output] = filter[from + tap];
        }
      }
    }
    this.weight = device.tensor(moved, [height, width, inputs, outputs]);
    this.bias = device.tensor(Float32Array.from(bias), [outputs]);
    this.#stride = stride;
    this.#padding = padding;
  }

  /** `[B, H, W, inputs]` → `[B, H', W', outputs]`. */
  forward(x: Tensor): Tensor {
    const { weight, bias } = this;
    return conv2d(x, weight, { bias, stride: this.#stride, padding: this.#padding, relu: true });
  }
}

/** A convolution with a bias: the weights `NAME.weight` and `NAME.bias`. */
export function convolution(
  device: Device,
  weights: Weights,
  name: string,
  options: FrozenConvolutionOptions,
): FrozenConvolution {
  const { inputs, outputs, size } = options;
  const filter = weights.values(`${name}.weight`, [outputs, inputs, ...size]);
  return new FrozenConvolution(device, filter, weights.values(`${name}.bias`, [outputs]), options);
}

/** A convolution followed by batch normalisation with fixed statistics, which is folded into it: the filter is scaled
 * by s = γ/√(σ² + ε), the bias is β − μ·s. The weights are `NAME.conv.weight` and `NAME.bn.…`.
 * @param epsilon of the normalisation
 */
export function normalizedConvolution(
  device: Device,
  weights: Weights,
  name: string,
  options: FrozenConvolutionOptions,
  epsilon: number,
): FrozenConvolution {
  const { inputs, outputs, size } = options;
  const filter = weights.values(`${name}.conv.weight`, [outputs, inputs, ...size]);
  const [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
    (part) => weights.values(`${name}.bn.${part}`, [outputs]),
  );
  const scales = scale.map((value, output) => value / Math.sqrt(variance[output] + epsilon));
  const taps = inputs * size[0] * size[1];
  const scaled = filter.map((value, at) => value * scales[Math.floor(at / taps)]);
  const bias = shift.map((value, output) => value - mean[output] * scales[output]);
  return new FrozenConvolution(device, scaled, bias, options);
}

/** Layers applied to the same input, with their output channels concatenated. */
export class Parallel extends Layer {
  /** The layers, in the order of their channels. */
  readonly branches: readonly [Layer, ...Layer[]];

  /** Combines the layers. */
  constructor(branches: readonly [Layer, ...Layer[]]) {
    super();
    this.branches = branches;
  }

  /** Applies each layer to the same input. */
  forward(x: Tensor): Tensor {
    const [first, ...rest] = this.branches.map((branch) => branch.forward(x));
    return concatenate([first, ...rest], -1);
  }
}

/** Max pooling over 3×3 windows with a stride of 2. A last row or column that does not fill a window is dropped, or
 * with `ceil` pooled as well. That relies on an input without negative values, so that zeros at its end do not change
 * the maximum. */
export function maxPool3(x: Tensor, { ceil = false }: { ceil?: boolean } = {}): Tensor {
  if (!ceil) return maxPool(x, 3, { stride: 2 });
  const [, height, width] = x.shape;
  const [below, right] = [height, width].map((length) => (length - 1) % 2);
  return maxPool(pad(x, [0, 0, 0, 0], [0, below, right, 0]), 3, { stride: 2 });
}

/** The mean of the pixels of each 3×3 window that lie within the image. */
export function averagePoolWithin(x: Tensor): Tensor {
  const [, height, width] = x.shape;
  const window = { stride: 1, padding: 1 };
  const share = averagePool(ones(x.device, [1, height, width, 1]), 3, window);
  return div(averagePool(x, 3, window), share);
}

/** Returns images `[B, H, W, 3]` unchanged, and repeats grey ones `[B, H, W, 1]` to three channels, as in arXiv
 * 2307.15139.
 * @throws {TypeError} they have another number of channels
 */
export function toThreeChannels(images: Tensor, action: string): Tensor {
  const { shape } = images;
  if (shape.length === 4 && shape[3] === 3) return images;
  if (shape.length === 4 && shape[3] === 1) return broadcast(images, [...shape.slice(0, 3), 3]);
  throw new TypeError(
    `Cannot ${action}: the images must be [B, H, W, 3] or [B, H, W, 1], got ${showShape(shape)}`,
  );
}
