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

/** How a residual block is made. */
export interface ResidualBlockOptions {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
  /** Channels of its input. */
  readonly inputs: number;
  /** Channels of its output. */
  readonly outputs: number;
  /** Elements of the embedding that it is told. */
  readonly embeddingWidth: number;
  /** Groups of its norms. */
  readonly groups: number;
  /** The probability that an element is dropped. */
  readonly dropout: number;
  /** Whether the embedding scales and shifts what is normalised, rather than being added. */
  readonly scaleShift: boolean;
  /** Whether it halves or doubles the sides on the way; by default neither. */
  readonly resample?: "down" | "up";
}

/** x + conv(dropout(SiLU(norm(h)))), h = conv(SiLU(norm(x))) + linear(embedding); or with `scaleShift` the second norm
 * is multiplied by 1 + scale and shift is added, both linear in the embedding. The last convolution starts at zero.
 * Where channels change, x passes a 1×1 convolution; where sides change, x and the first convolution's input are
 * averaged over 2×2 pixels, or repeated. */
export class ResidualBlock extends UNetPart {
  /** With its SiLU. */
  readonly norm1: GroupNorm;
  /** 3×3. */
  readonly conv1: Conv2d;
  /** Of the embedding. */
  readonly embedding: Linear;
  /** With its SiLU, unless that comes after scale and shift. */
  readonly norm2: GroupNorm;
  /** 3×3, initially zero. */
  readonly conv2: Conv2d;
  /** 1×1, where channels change. */
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

  /** The first half of what the embedding says is the scale, the second the shift. */
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
