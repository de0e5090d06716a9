/** The multi-head attention layer. */
import { attention } from "../core/functions/attention.ts";
import { reshape } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import { showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { AttentionCache } from "./attention_cache.ts";
import { partKey } from "./initializers.ts";
import { Linear } from "./linear.ts";
import { type Context, Layer } from "./module.ts";
import { RMSNorm } from "./normalization.ts";
import { rotateByPosition, type Rotation } from "./rotary.ts";

/** Options of an attention layer. */
export interface AttentionLayerOptions {
  /** The random key of the initial values. */
  readonly key: RandomKey;
  /** The number of heads, each with an equal part of the width. */
  readonly heads: number;
  /** The width of the memory to attend to; by default the layer's width. */
  readonly memoryWidth?: number;
  /** Whether a query attends only to keys up to its own position, counted from the end; by default it attends to all.
   */
  readonly causal?: boolean;
  /** Whether the projections add a bias; by default true. */
  readonly bias?: boolean;
  /** Whether to RMS-normalise each head's queries and keys (arXiv 2302.05442); by default false. */
  readonly queryKeyNorm?: boolean;
  /** Whether the output projection adds a bias; by default as the other projections. */
  readonly outputBias?: boolean;
}

/** What an attention layer uses besides its input. */
export interface Attended {
  /** `[B, T, memoryWidth]`: the source of keys and values; by default the input itself. */
  readonly memory?: Tensor;
  /** int32 `[S]`: query i attends only to the keys before visible[i]; see `blockVisibility`. */
  readonly visible?: Tensor;
  /** Rotates the queries and keys by the positions of the input. */
  readonly rotation?: Rotation;
  /** Keeps the keys and values; the input then continues the cached tokens. Those of a memory, which does not change, are
   * computed once. */
  readonly cache?: AttentionCache;
}

/** Multi-head attention (arXiv 1706.03762, 3.2.2): linear layers project the inputs to queries, keys and values, each
 * head attends with its part of the width, and another linear layer projects all heads to the output.
 *
 * ```ts
 * import { Attention, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Attention(device, 8, { heads: 2, key: randomKey(1, "attention") });
 * assert.deepEqual(layer.forward(device.tensor(new Float32Array(24), [1, 3, 8])).shape, [1, 3, 8]);
 * ```
 */
export class Attention extends Layer {
  /** Projects the input to queries. */
  readonly query: Linear;
  /** Projects the memory to keys. */
  readonly key: Linear;
  /** Projects the memory to values. */
  readonly value: Linear;
  /** Projects all heads to the output. */
  readonly output: Linear;
  /** Normalises the queries, with `queryKeyNorm`. */
  readonly queryNorm: RMSNorm | undefined;
  /** Normalises the keys, with `queryKeyNorm`. */
  readonly keyNorm: RMSNorm | undefined;
  readonly #heads: number;
  readonly #causal: boolean;

  /** Makes the projections.
   * @param width channels of the input and the output
   * @throws {RangeError} the heads do not divide the width
   */
  constructor(device: Device, width: number, options: AttentionLayerOptions) {
    super();
    const { key, heads, memoryWidth = width, causal = false } = options;
    const { bias, outputBias = bias, queryKeyNorm } = options;
    if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
      throw new RangeError(
        `Cannot make an attention layer: the heads must divide the width ${width}, got ${heads}`,
      );
    }
    const linear = (inputs: number, part: number, own = bias) =>
      new Linear(device, inputs, width, { key: partKey(key, part), bias: own });
    this.query = linear(width, 0);
    this.key = linear(memoryWidth, 1);
    this.value = linear(memoryWidth, 2);
    this.output = linear(width, 3, outputBias);
    const norm = () => queryKeyNorm ? new RMSNorm(device, width / heads) : undefined;
    this.queryNorm = norm();
    this.keyNorm = norm();
    this.#heads = heads;
    this.#causal = causal;
  }

  /** `[B, S, width]` → `[B, S, width]`.
   * @throws {TypeError} the shapes do not match
   */
  forward(x: Tensor, _context?: Context, attended: Attended = {}): Tensor {
    const { memory, visible, rotation, cache } = attended;
    const source = memory ?? x;
    const turned = (part: Tensor) =>
      rotation === undefined ? part : rotateByPosition(part, rotation);
    const head = (made: Tensor, norm: RMSNorm | undefined) => {
      const own = this.#split(made);
      return turned(norm === undefined ? own : norm.forward(own));
    };
    const queries = head(this.query.forward(x), this.queryNorm);
    const make = () => ({
      keys: head(this.key.forward(source), this.keyNorm),
      values: this.#split(this.value.forward(source)),
    });
    const known = memory === undefined ? undefined : cache?.held;
    const { keys, values } = known ?? cache?.append(make()) ?? make();
    const mixed = attention(queries, keys, values, { causal: this.#causal, visible });
    return this.output.forward(reshape(mixed, x.shape));
  }

  /** `[B, S, width]` → `[B, S, heads, width/heads]` */
  #split(x: Tensor): Tensor {
    const [batch, length, width] = x.shape;
    if (x.shape.length !== 3) {
      throw new TypeError(
        `Cannot attend: the input must be [B, S, ${this.output.weight.shape[0]}], got shape ${
          showShape(x.shape)
        }`,
      );
    }
    return reshape(x, [batch, length, this.#heads, width / this.#heads]);
  }
}
