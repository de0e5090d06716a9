/** The attention block of a U-Net (arXiv 2105.05233). */
import { attention } from "../../core/functions/attention.ts";
import { add } from "../../core/functions/elementwise.ts";
import { reshape, slice } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey, zeroed } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { GroupNorm } from "../../nn/normalization.ts";
import { UNetPart } from "./part.ts";

/** Options of the constructor. */
export interface AttentionBlockOptions {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
  /** The number of groups of the norm. */
  readonly groups: number;
  /** The number of heads, which share the channels. */
  readonly heads: number;
}

/** x + linear(attention(norm(x))) over all positions; the last linear layer is initially zero. One linear layer
 * computes queries, keys and values. Its output holds, for each head, the channels of the queries, then the keys, then
 * the values. */
export class AttentionBlock extends UNetPart {
  /** The norm of the input. */
  readonly norm: GroupNorm;
  /** Computes queries, keys and values. */
  readonly qkv: Linear;
  /** Combines the outputs of all heads; initially zero. */
  readonly output: Linear;
  readonly #heads: number;

  /** Makes the block.
   * @throws {RangeError} the groups do not divide the channels
   */
  constructor(device: Device, channels: number, options: AttentionBlockOptions) {
    super();
    const { key, groups, heads } = options;
    this.norm = new GroupNorm(device, groups, channels);
    this.qkv = new Linear(device, channels, 3 * channels, { key: partKey(key, 0) });
    this.output = zeroed(new Linear(device, channels, channels, { key: partKey(key, 1) }));
    this.#heads = heads;
  }

  forward(x: Tensor): Tensor {
    const [batch, height, width, channels] = x.shape;
    const positions = height * width, heads = this.#heads, own = channels / heads;
    const all = reshape(this.qkv.forward(this.norm.forward(x)), [batch, positions, heads, 3 * own]);
    const [queries, keys, values] = [0, 1, 2].map((part) =>
      slice(all, [0, 0, 0, part * own], [batch, positions, heads, own])
    );
    const mixed = reshape(attention(queries, keys, values), x.shape);
    return add(x, this.output.forward(mixed));
  }
}
