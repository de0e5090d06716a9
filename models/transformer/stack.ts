/** A stack of transformer blocks. */
import { checkpoint } from "../../core/checkpoint.ts";
import { add } from "../../core/functions/elementwise.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { type Attended, Attention } from "../../nn/attention.ts";
import { AttentionCache } from "../../nn/attention_cache.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Layer } from "../../nn/module.ts";
import { LayerNorm, RMSNorm } from "../../nn/normalization.ts";
import { type FeedForwardType, makeFeedForward } from "./feed_forward.ts";
import { initializeWeights } from "./initial.ts";

/** All kinds of norms. */
export const NORMS: readonly ("layer" | "rms")[] = ["layer", "rms"];

/** Settings that all blocks share. */
export interface BlockSettings {
  /** Channels of the tokens. */
  readonly width: number;
  /** The number of heads of an attention layer. */
  readonly heads: number;
  /** The dropout rate after every layer in training. */
  readonly dropout: number;
  /** The norm of the tokens: layer norm, or RMS norm, which uses only the root mean square. */
  readonly norm: "layer" | "rms";
  /** The feed-forward layer after the attention. */
  readonly feedForward: FeedForwardType;
  /** Whether each head's queries and keys are normalised. */
  readonly queryKeyNorm: boolean;
}

/** Options of the constructor. */
export interface StackOptions extends BlockSettings {
  /** The number of blocks. */
  readonly layers: number;
  /** Whether a token attends only to itself and the tokens before it. */
  readonly causal: boolean;
  /** The width of another sequence that each block attends to (cross-attention); by default there is no such sequence.
   */
  readonly memoryWidth?: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values: less memory, a third more time.
   * By default it keeps them. */
  readonly recompute?: boolean;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** What the blocks use in addition to their input. */
export interface StackInput extends Pick<Attended, "visible" | "rotation" | "memory"> {
  /** The cache of the tokens before the input. */
  readonly cache?: StackCache;
}

/** The keys and values of earlier tokens, and of another sequence, of every block of a stack. */
export class StackCache implements Disposable {
  /** The caches of each block. */
  readonly layers: readonly AttentionCache[];
  /** The caches of the other sequence, for each block. */
  readonly memories: readonly AttentionCache[];

  /** Makes an empty cache. */
  constructor({ blocks }: TransformerStack) {
    this.layers = blocks.map(() => new AttentionCache());
    this.memories = blocks.map(() => new AttentionCache());
  }

  /** The number of tokens in the cache. */
  get length(): number {
    return this.layers[0].length;
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    for (const cache of [...this.layers, ...this.memories]) cache[Symbol.dispose]();
  }
}

function makeNorm(device: Device, { norm, width }: BlockSettings): LayerNorm | RMSNorm {
  return norm === "layer" ? new LayerNorm(device, width) : new RMSNorm(device, width);
}

/** What a block uses in addition to its input. */
export interface BlockInput extends Attended {
  /** The cache of the keys and values of the other sequence. */
  readonly memoryCache?: AttentionCache;
}

/** x + attention(norm x), then x + crossAttention(norm x) if there is another sequence, then x + feedForward(norm x):
 * the pre-norm block (arXiv 2002.04745). */
export class TransformerBlock extends Layer {
  /** The norm before the attention. */
  readonly norm: Layer;
  /** Self-attention, over the block's own input. */
  readonly attention: Attention;
  /** The norm before the cross-attention. */
  readonly memoryNorm: Layer | undefined;
  /** Cross-attention to another sequence, if there is one. */
  readonly memoryAttention: Attention | undefined;
  /** The norm before the feed-forward layer. */
  readonly feedForwardNorm: Layer;
  /** The feed-forward layer, which processes each token on its own. */
  readonly feedForward: Layer;
  readonly #dropout: Dropout;

  /** Makes the layers. */
  constructor(device: Device, options: StackOptions, key: RandomKey) {
    super();
    const { width, heads, causal, queryKeyNorm, memoryWidth, feedForward, dropout } = options;
    const attends = { heads, queryKeyNorm };
    this.norm = makeNorm(device, options);
    this.attention = new Attention(device, width, { ...attends, causal, key: partKey(key, 0) });
    if (memoryWidth !== undefined) {
      this.memoryNorm = makeNorm(device, options);
      const own = { ...attends, memoryWidth, key: partKey(key, 1) };
      this.memoryAttention = new Attention(device, width, own);
    }
    this.feedForwardNorm = makeNorm(device, options);
    this.feedForward = makeFeedForward(feedForward, device, width, partKey(key, 2));
    this.#dropout = new Dropout(dropout);
  }

  /** `[B, S, width]` → `[B, S, width]`. */
  forward(
    x: Tensor,
    context?: Context,
    { memory, memoryCache, ...attended }: BlockInput = {},
  ): Tensor {
    let part = 0;
    const join = (x: Tensor, y: Tensor) => {
      const own = context && { ...context, key: partKey(context.key, part++) };
      return add(x, this.#dropout.forward(y, own));
    };
    let y = join(x, this.attention.forward(this.norm.forward(x), context, attended));
    if (this.memoryAttention !== undefined) {
      const normalized = this.memoryNorm!.forward(y);
      const other = { memory, cache: memoryCache };
      y = join(y, this.memoryAttention.forward(normalized, context, other));
    }
    return join(y, this.feedForward.forward(this.feedForwardNorm.forward(y)));
  }
}

/** Blocks of attention and feed-forward layers, with a norm at the end.
 *
 * ```ts
 * import { openDevice, randomKey, TransformerStack } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const stack = new TransformerStack(device, {
 *   ...{ width: 8, heads: 2, layers: 2, dropout: 0, causal: true },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
 *   key: randomKey(1, "stack"),
 * });
 * const tokens = device.tensor(new Float32Array(24), [1, 3, 8]);
 * assert.deepEqual(stack.forward(tokens).shape, [1, 3, 8]);
 * ```
 */
export class TransformerStack extends Layer {
  /** The blocks, in order. */
  readonly blocks: readonly TransformerBlock[];
  /** Normalises the tokens after the last block. */
  readonly norm: Layer;
  readonly #attendsMemory: boolean;
  readonly #recompute: boolean;

  /** Makes the blocks.
   * @throws {RangeError} the heads do not divide the width, or the dropout is not in [0, 1)
   */
  constructor(device: Device, options: StackOptions) {
    super();
    const { layers, key, memoryWidth, recompute = false } = options;
    this.blocks = Array.from(
      { length: layers },
      (_, block) => new TransformerBlock(device, options, partKey(key, block)),
    );
    this.norm = makeNorm(device, options);
    this.#attendsMemory = memoryWidth !== undefined;
    this.#recompute = recompute;
    initializeWeights(this, partKey(key, layers));
  }

  /** float32 `[B, S, width]` → `[B, S, width]`.
   * @throws {TypeError} shapes do not agree, or the memory is missing, or no block attends to it
   */
  forward(x: Tensor, context?: Context, { cache, ...input }: StackInput = {}): Tensor {
    if ((input.memory !== undefined) !== this.#attendsMemory) {
      throw new TypeError(
        `Cannot run a transformer: it must be given ${
          this.#attendsMemory ? "a" : "no"
        } memory, got ${this.#attendsMemory ? "none" : "one"}`,
      );
    }
    const output = this.blocks.reduce((y, block, index) => {
      const own = context && { ...context, key: partKey(context.key, index) };
      const memoryCache = cache?.memories[index];
      const attended = { ...input, cache: cache?.layers[index], memoryCache };
      const body = (y: Tensor) => block.forward(y, own, attended);
      return this.#recompute ? checkpoint(body, y) : body(y);
    }, x);
    return this.norm.forward(output);
  }
}
