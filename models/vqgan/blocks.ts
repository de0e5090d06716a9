/** The blocks of a VQGAN's encoder and decoder. */
import { checkpoint } from "../../core/checkpoint.ts";
import { add } from "../../core/functions/elementwise.ts";
import { reshape } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Attention } from "../../nn/attention.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Layer } from "../../nn/module.ts";
import type { MakeNorm, Norm } from "./norms.ts";

/** What all blocks of a network have in common. */
export interface BlockOptions {
  /** Makes the norms of the blocks. */
  readonly norm: MakeNorm;
  /** The probability that an element inside a residual block is dropped in training. */
  readonly dropout: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values. */
  readonly recompute: boolean;
}

/** A context with its own key, for one part of a network. */
export function contextOf(context: Context | undefined, part: number): Context | undefined {
  return context && { ...context, key: partKey(context.key, part) };
}

/** A 3×3 convolution that keeps the size. */
export function conv3(device: Device, inputs: number, outputs: number, key: RandomKey): Conv2d {
  return new Conv2d(device, inputs, outputs, { key, kernelSize: 3, padding: 1 });
}

/** A part of a network. Its input is the features, the context, and the codes for norms that use them. */
abstract class Block extends Layer {
  abstract override forward(x: Tensor, context?: Context, codes?: Tensor): Tensor;
}

/** x + conv(dropout(norm(conv(norm(x))))), with SiLU after each norm. If the number of channels changes, a 1×1
 * convolution is applied to the first x. */
export class ResnetBlock extends Block {
  /** The norm before the first convolution. */
  readonly norm1: Norm;
  /** The first convolution, to the channels of the output. */
  readonly conv1: Conv2d;
  /** The norm before the second convolution. */
  readonly norm2: Norm;
  /** The second convolution; its output is added to the input. */
  readonly conv2: Conv2d;
  /** The 1×1 convolution of the input, if the number of channels changes. */
  readonly shortcut: Conv2d | undefined;
  readonly #dropout: Dropout;

  /** Makes the block. */
  constructor(
    device: Device,
    inputs: number,
    outputs: number,
    { norm, dropout }: BlockOptions,
    key: RandomKey,
  ) {
    super();
    const keys = [0, 1, 2, 3, 4].map((part) => partKey(key, part));
    this.norm1 = norm(inputs, true, keys[0]);
    this.conv1 = conv3(device, inputs, outputs, keys[1]);
    this.norm2 = norm(outputs, true, keys[2]);
    this.conv2 = conv3(device, outputs, outputs, keys[3]);
    this.shortcut = inputs === outputs
      ? undefined
      : new Conv2d(device, inputs, outputs, { key: keys[4], kernelSize: 1 });
    this.#dropout = new Dropout(dropout);
  }

  /** `[B, H, W, inputs]` → `[B, H, W, outputs]`. The backward pass does not need the values of the branch. */
  forward(x: Tensor, context?: Context, codes?: Tensor): Tensor {
    const inner = this.conv1.forward(this.norm1.forward(x, context, codes));
    const kept = this.#dropout.forward(this.norm2.forward(inner, context, codes), context);
    using branch = this.conv2.forward(kept);
    if (this.shortcut === undefined) return add(x, branch);
    using skipped = this.shortcut.forward(x);
    return add(skipped, branch);
  }
}

/** x + attention(norm(x)): one head over all positions of the grid. */
export class AttentionBlock extends Block {
  /** The norm, without SiLU. */
  readonly norm: Norm;
  /** Queries, keys, values and output. */
  readonly attention: Attention;

  /** Makes the block. */
  constructor(device: Device, channels: number, { norm }: BlockOptions, key: RandomKey) {
    super();
    this.norm = norm(channels, false, partKey(key, 0));
    this.attention = new Attention(device, channels, { heads: 1, key: partKey(key, 1) });
  }

  /** `[B, H, W, channels]` → the same shape. */
  forward(x: Tensor, context?: Context, codes?: Tensor): Tensor {
    const [batch, height, width, channels] = x.shape;
    const normed = this.norm.forward(x, context, codes);
    const places = reshape(normed, [batch, height * width, channels]);
    using mixed = this.attention.forward(places);
    return add(x, reshape(mixed, x.shape));
  }
}

/** The blocks of one resolution. If the resolution has attention, an attention block follows each of them. */
export class Level extends Block {
  /** The residual blocks. */
  readonly block: readonly ResnetBlock[];
  /** An attention block for each residual block, or none. */
  readonly attention: readonly AttentionBlock[];
  readonly #recompute: boolean;

  /** @param count how many residual blocks
   * @param attends whether this resolution has attention
   */
  constructor(
    device: Device,
    { inputs, outputs, count, attends }: {
      readonly inputs: number;
      readonly outputs: number;
      readonly count: number;
      readonly attends: boolean;
    },
    options: BlockOptions,
    key: RandomKey,
  ) {
    super();
    this.#recompute = options.recompute;
    const range = [...new Array(count).keys()];
    this.block = range.map((index) =>
      new ResnetBlock(device, index === 0 ? inputs : outputs, outputs, options, partKey(key, index))
    );
    this.attention = !attends
      ? []
      : range.map((index) =>
        new AttentionBlock(device, outputs, options, partKey(key, count + index))
      );
  }

  /** `[B, H, W, inputs]` → `[B, H, W, outputs]`. */
  forward(x: Tensor, context?: Context, codes?: Tensor): Tensor {
    return this.block.reduce((value, block, index) => {
      const own = contextOf(context, index);
      const body = (x: Tensor) => {
        const result = block.forward(x, own, codes);
        return this.attention[index]?.forward(result, own, codes) ?? result;
      };
      return this.#recompute ? checkpoint(body, value) : body(value);
    }, x);
  }
}

/** The blocks at the lowest resolution: residual, attention, residual. */
export class Middle extends Block {
  /** The residual block before the attention. */
  readonly block1: ResnetBlock;
  /** The attention block, which is always present. */
  readonly attention: AttentionBlock;
  /** The residual block after the attention. */
  readonly block2: ResnetBlock;
  readonly #recompute: boolean;

  /** Makes the blocks. */
  constructor(device: Device, channels: number, options: BlockOptions, key: RandomKey) {
    super();
    const keys = [0, 1, 2].map((part) => partKey(key, part));
    this.#recompute = options.recompute;
    this.block1 = new ResnetBlock(device, channels, channels, options, keys[0]);
    this.attention = new AttentionBlock(device, channels, options, keys[1]);
    this.block2 = new ResnetBlock(device, channels, channels, options, keys[2]);
  }

  /** `[B, H, W, channels]` → the same shape. */
  forward(x: Tensor, context?: Context, codes?: Tensor): Tensor {
    const body = (x: Tensor) => {
      const first = this.block1.forward(x, contextOf(context, 0), codes);
      const attended = this.attention.forward(first, context, codes);
      return this.block2.forward(attended, contextOf(context, 1), codes);
    };
    return this.#recompute ? checkpoint(body, x) : body(x);
  }
}
