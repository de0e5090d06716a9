/** The residual block of a U-Net (arXiv 2105.05233). */
import { add, mul, silu } from "../../core/functions/elementwise.ts";
import { averagePool, reshape, slice, upsampleNearest } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey, zeroed } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { GroupNorm } from "../../nn/normalization.ts";
import { type PartContext, UNetPart } from "./part.ts";

/** Options of the constructor. */
export interface ResidualBlockOptions {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
  /** Channels of its input. */
  readonly inputs: number;
  /** Channels of its output. */
  readonly outputs: number;
  /** The width of the embedding. */
  readonly embeddingWidth: number;
  /** The number of groups of its norms. */
  readonly groups: number;
  /** The probability that an element is dropped. */
  readonly dropout: number;
  /** Whether the embedding scales and shifts the normalised values instead of being added. */
  readonly scaleShift: boolean;
  /** Whether the block halves or doubles the sides; by default it does neither. */
  readonly resample?: "down" | "up";
}

/** x + conv(dropout(SiLU(norm(h)))), h = conv(SiLU(norm(x))) + linear(embedding). With `scaleShift`, instead, the output
 * of the second norm is multiplied by 1 + scale, and shift is added; both are linear in the embedding. The last
 * convolution is initially zero. If the number of channels changes, x passes a 1×1 convolution. If the sides change, x
 * and the input of the first convolution are averaged over 2×2 pixels, or upsampled by repeating pixels. */
export class ResidualBlock extends UNetPart {
  /** The first norm, with its SiLU. */
  readonly norm1: GroupNorm;
  /** The first 3×3 convolution. */
  readonly conv1: Conv2d;
  /** The linear layer of the embedding. */
  readonly embedding: Linear;
  /** The second norm, with its SiLU, unless the SiLU comes after scale and shift. */
  readonly norm2: GroupNorm;
  /** The second 3×3 convolution, initially zero. */
  readonly conv2: Conv2d;
  /** The 1×1 convolution of the input, if the number of channels changes. */
  readonly shortcut: Conv2d | undefined;
  readonly #dropout: Dropout;
  readonly #scaleShift: boolean;
  readonly #resample: ResidualBlockOptions["resample"];

  /** Makes the block.
   * @throws {RangeError} the groups do not divide the channels, or the dropout is not in [0, 1)
   */
  constructor(device: Device, options: ResidualBlockOptions) {
    super();
    const { key, inputs, outputs, embeddingWidth, groups, dropout, scaleShift } = options;
    const conv = (from: number, part: number) =>
      new Conv2d(device, from, outputs, { key: partKey(key, part), kernelSize: 3, padding: 1 });
    this.norm1 = new GroupNorm(device, groups, inputs, 1e-5, true);
    this.conv1 = conv(inputs, 0);
    this.embedding = new Linear(device, embeddingWidth, scaleShift ? 2 * outputs : outputs, {
      key: partKey(key, 1),
    });
    this.norm2 = new GroupNorm(device, groups, outputs, 1e-5, !scaleShift);
    this.conv2 = zeroed(conv(outputs, 2));
    this.shortcut = inputs === outputs
      ? undefined
      : new Conv2d(device, inputs, outputs, { key: partKey(key, 3), kernelSize: 1 });
    this.#dropout = new Dropout(dropout);
    this.#scaleShift = scaleShift;
    this.#resample = options.resample;
  }

  forward(x: Tensor, { embedding, ...context }: PartContext): Tensor {
    const hidden = this.conv1.forward(this.#resampled(this.norm1.forward(x)));
    const told = this.embedding.forward(embedding);
    const normed = this.#scaleShift
      ? this.#scaled(this.norm2.forward(hidden), told)
      : this.norm2.forward(add(hidden, perChannel(told)));
    const branch = this.conv2.forward(this.#dropout.forward(normed, context));
    const skipped = this.#resampled(x);
    return add(this.shortcut?.forward(skipped) ?? skipped, branch);
  }

  /** Applies scale and shift: the first half of the channels of `told` is the scale, the second half the shift. */
  #scaled(normed: Tensor, told: Tensor): Tensor {
    const [batch, width] = told.shape;
    const half = (start: number) => perChannel(slice(told, [0, start], [batch, width / 2]));
    return silu(add(mul(normed, add(half(0), 1)), half(width / 2)));
  }

  #resampled(x: Tensor): Tensor {
    if (this.#resample === undefined) return x;
    return this.#resample === "down" ? averagePool(x, 2) : upsampleNearest(x, 2);
  }
}

/** `[B, C]` → `[B, 1, 1, C]` */
function perChannel(x: Tensor): Tensor {
  const [batch, channels] = x.shape;
  return reshape(x, [batch, 1, 1, channels]);
}
