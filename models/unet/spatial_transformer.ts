/** The transformer block of a U-Net that attends to what it is conditioned on (arXiv 2112.10752). */
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

/** How many times the width a feed-forward layer is inside. */
const EXPANSION = 4;

/** linear(a·gelu(b)), a and b linear in the input (GEGLU, arXiv 2002.05202). */
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

/** How a transformer block is made. */
export interface SpatialTransformerOptions {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
  /** Of the norm. */
  readonly groups: number;
  /** How many heads share the channels. */
  readonly heads: number;
  /** Channels of what is attended to. */
  readonly memoryWidth: number;
}

/** x + linear(transformer(linear(norm(x)))) over all positions. The transformer adds in turn self-attention,
 * cross-attention to the memory, and a gated feed-forward layer, each of a layer norm; the last linear layer starts at
 * zero. */
export class SpatialTransformer extends UNetPart {
  /** Of the input. */
  readonly norm: GroupNorm;
  /** Before the transformer. */
  readonly input: Linear;
  /** Before self-attention. */
  readonly norm1: LayerNorm;
  /** Of every position to all. */
  readonly selfAttention: Attention;
  /** Before cross-attention. */
  readonly norm2: LayerNorm;
  /** Of every position to the memory. */
  readonly crossAttention: Attention;
  /** Before the feed-forward layer. */
  readonly norm3: LayerNorm;
  /** Of every position. */
  readonly feedForward: FeedForward;
  /** After the transformer, initially zero. */
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
