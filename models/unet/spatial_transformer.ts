/** The transformer block of a U-Net, with cross-attention to the conditioning (arXiv 2112.10752). */
import { add, gelu, mul } from "../../core/functions/elementwise.ts";
import { reshape, slice } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Attention } from "../../nn/attention.ts";
import { partKey, zeroed } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { Layer } from "../../nn/module.ts";
import { GroupNorm, LayerNorm } from "../../nn/normalization.ts";
import { type PartContext, UNetPart } from "./part.ts";

/** How many times wider the hidden layer of the feed-forward layer is. */
const EXPANSION = 4;

/** linear(a·gelu(b)), where a and b are linear in the input (GEGLU, arXiv 2002.05202). */
class FeedForward extends Layer {
  readonly gated: Linear;
  readonly output: Linear;
  readonly #inner: number;

  constructor(device: Device, width: number, key: RandomKey) {
    super();
    this.#inner = EXPANSION * width;
    this.gated = new Linear(device, width, 2 * this.#inner, { key: partKey(key, 0) });
    this.output = new Linear(device, this.#inner, width, { key: partKey(key, 1) });
  }

  forward(x: Tensor): Tensor {
    const both = this.gated.forward(x);
    const [batch, length] = both.shape;
    const half = (start: number) => slice(both, [0, 0, start], [batch, length, this.#inner]);
    return this.output.forward(mul(half(0), gelu(half(this.#inner))));
  }
}

/** Options of the constructor. */
export interface SpatialTransformerOptions {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
  /** The number of groups of the norm. */
  readonly groups: number;
  /** The number of heads, which share the channels. */
  readonly heads: number;
  /** Channels of the sequence for cross-attention. */
  readonly memoryWidth: number;
}

/** x + linear(transformer(linear(norm(x)))) over all positions. The transformer adds, in turn, self-attention,
 * cross-attention to the memory, and a gated feed-forward layer, each applied after a layer norm. The last linear layer
 * is initially zero. */
export class SpatialTransformer extends UNetPart {
  /** The norm of the input. */
  readonly norm: GroupNorm;
  /** The linear layer before the transformer. */
  readonly input: Linear;
  /** The norm before the self-attention. */
  readonly norm1: LayerNorm;
  /** Self-attention from every position to all positions. */
  readonly selfAttention: Attention;
  /** The norm before the cross-attention. */
  readonly norm2: LayerNorm;
  /** Cross-attention from every position to the memory. */
  readonly crossAttention: Attention;
  /** The norm before the feed-forward layer. */
  readonly norm3: LayerNorm;
  /** The feed-forward layer of every position. */
  readonly feedForward: FeedForward;
  /** The linear layer after the transformer, initially zero. */
  readonly output: Linear;

  /** Makes the block.
   * @throws {RangeError} the groups or the heads do not divide the channels
   */
  constructor(device: Device, channels: number, options: SpatialTransformerOptions) {
    super();
    const { key, groups, heads, memoryWidth } = options;
    const linear = (part: number) =>
      new Linear(device, channels, channels, { key: partKey(key, part) });
    const layer = (part: number, width: number) =>
      new Attention(device, channels, {
        ...{ key: partKey(key, part), heads, memoryWidth: width },
        ...{ bias: false, outputBias: true },
      });
    this.norm = new GroupNorm(device, groups, channels, 1e-6);
    this.input = linear(0);
    this.norm1 = new LayerNorm(device, channels);
    this.selfAttention = layer(1, channels);
    this.norm2 = new LayerNorm(device, channels);
    this.crossAttention = layer(2, memoryWidth);
    this.norm3 = new LayerNorm(device, channels);
    this.feedForward = new FeedForward(device, channels, partKey(key, 3));
    this.output = zeroed(linear(4));
  }

  forward(x: Tensor, { memory, ...context }: PartContext): Tensor {
    const [batch, height, width, channels] = x.shape;
    const rows = reshape(this.norm.forward(x), [batch, height * width, channels]);
    let h = this.input.forward(rows);
    h = add(h, this.selfAttention.forward(this.norm1.forward(h)));
    h = add(h, this.crossAttention.forward(this.norm2.forward(h), context, { memory }));
    h = add(h, this.feedForward.forward(this.norm3.forward(h)));
    return add(x, reshape(this.output.forward(h), x.shape));
  }
}
