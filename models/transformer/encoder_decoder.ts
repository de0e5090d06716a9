/** A chain of transformers over codes, each of an encoder and a decoder. */
import * as z from "zod";
import { add } from "../../core/functions/elementwise.ts";
import { gather } from "../../core/functions/indexing.ts";
import type { RandomKey } from "../../core/random.ts";
import { showShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Module } from "../../nn/module.ts";
import type { ModelKind } from "../kind.ts";
import { CodeTransformer, type CodeTransformerInput } from "./code_transformer.ts";
import { FEED_FORWARDS } from "./feed_forward.ts";
import { normalParameter } from "./initial.ts";
import { type BlockSettings, NORMS, type StackCache, TransformerStack } from "./stack.ts";
import { checkTable } from "./table.ts";

/** The settings of encoder-decoders over codes in a configuration. */
export interface EncoderDecoderSettings extends BlockSettings {
  /** Blocks of a decoder. */
  readonly layers: number;
  /** Blocks of an encoder. */
  readonly encoderLayers: number;
}

/** What an encoder-decoder is made for. */
export interface EncoderDecoderNeeds {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** Rows and columns of an image's grid of codes. */
  readonly grid: readonly [height: number, width: number];
  /** The number of classes; 0 without classes. */
  readonly classes: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values; by default it keeps them. */
  readonly recompute?: boolean;
}

/** How an encoder-decoder is made. */
export interface EncoderDecoderOptions extends EncoderDecoderNeeds, EncoderDecoderSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** Predicts the codes of an image one by one, given other codes of the same grid: an encoder sees all of those, and a
 * causal decoder attends to its output (arXiv 1706.03762, 3.1; over codes: arXiv 2108.08827).
 *
 * ```ts
 * import { EncoderDecoder, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const model = new EncoderDecoder(device, {
 *   ...{ codebookSize: 16, grid: [2, 2], classes: 0 },
 *   ...{ width: 8, heads: 2, layers: 1, encoderLayers: 1, dropout: 0 },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
 *   key: randomKey(1, "model"),
 * });
 * const memory = model.encode(device.tensor(Int32Array.of(7, 1, 4, 2), [1, 4]));
 * const labels = device.tensor(Int32Array.of(0), [1]);
 * const codes = device.tensor(Int32Array.of(3, 1, 4), [1, 3]);
 * const features = model.decoder.forward({ labels, codes, memory });
 * assert.deepEqual(model.decoder.logits(features).shape, [1, 4, 16]);
 * ```
 */
export class EncoderDecoder extends Module {
  /** `[K, width]`, of the encoder. */
  readonly tokens: Tensor;
  /** `[height·width, width]`: a vector for every position of the encoder. */
  readonly positions: Tensor;
  /** Sees all codes. */
  readonly encoder: TransformerStack;
  /** Sees the codes before, and the encoder's output. */
  readonly decoder: CodeTransformer;
  readonly #dropout: Dropout;

  /** Makes the initial weights.
   * @throws {RangeError} the heads do not divide the width
   */
  constructor(device: Device, { encoderLayers, ...options }: EncoderDecoderOptions) {
    super();
    const { codebookSize, grid: [height, columns], width, key } = options;
    const table = (rows: number, part: number) =>
      normalParameter(device, [rows, width], partKey(key, part));
    this.tokens = table(codebookSize, 0);
    this.positions = table(height * columns, 1);
    this.encoder = new TransformerStack(device, {
      ...options,
      ...{ layers: encoderLayers, causal: false, key: partKey(key, 2) },
    });
    this.decoder = new CodeTransformer(device, {
      ...options,
      ...{ causal: true, memoryWidth: width, positions: "learned", key: partKey(key, 3) },
    });
    this.#dropout = new Dropout(options.dropout);
  }

  /** What the decoder attends to: int32 `[B, height·width]` → float32 `[B, height·width, width]`.
   * @throws {TypeError} they are not all codes of a grid
   * @throws {RangeError} the host wrote a code that does not exist
   */
  encode(codes: Tensor, context?: Context): Tensor {
    const [length] = this.positions.shape;
    if (codes.shape[1] !== length) {
      throw new TypeError(
        `Cannot encode codes: they must be [B, ${length}], got ${showShape(codes.shape)}`,
      );
    }
    checkTable(codes, this.tokens, "code");
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    const placed = add(gather(this.tokens, codes), this.positions);
    return this.encoder.forward(this.#dropout.forward(placed, own(0)), own(1));
  }

  /** The features of a sequence, or of a part that continues what the cache holds: as the decoder's. */
  decode(input: CodeTransformerInput, context?: Context, cache?: StackCache): Tensor {
    const own = context && { ...context, key: partKey(context.key, 2) };
    return this.decoder.forward(input, own, cache);
  }
}

/** What a chain is made for. */
export interface EncoderDecoderChainNeeds extends EncoderDecoderNeeds {
  /** How many encoder-decoders. */
  readonly steps: number;
}

/** How a chain is made. */
export interface EncoderDecoderChainOptions
  extends EncoderDecoderChainNeeds, EncoderDecoderSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** Encoder-decoders, one for each step of a diffusion. */
export class EncoderDecoderChain extends Module {
  /** That of each step t, from t = 1, whose output are the codes of images. */
  readonly steps: readonly EncoderDecoder[];
  /** How many classes the decoders are told of. */
  readonly classes: number;

  /** Makes the initial weights.
   * @throws {RangeError} the heads do not divide the width
   */
  constructor(device: Device, { steps, ...options }: EncoderDecoderChainOptions) {
    super();
    this.steps = Array.from(
      { length: steps },
      (_, step) => new EncoderDecoder(device, { ...options, key: partKey(options.key, step) }),
    );
    this.classes = options.classes;
  }
}

/** Chains of encoder-decoders in the registry. */
export const encoderDecoderKind: ModelKind<
  EncoderDecoderChain,
  EncoderDecoderChainNeeds,
  EncoderDecoderSettings
> = {
  schema: z.strictObject({
    width: z.int().min(1).default(128).describe("channels of the tokens"),
    layers: z.int().min(1).default(4).describe("blocks of each step's decoder"),
    encoderLayers: z.int().min(1).default(2).describe("blocks of each step's encoder"),
    heads: z.int().min(1).default(4).describe("heads of an attention"),
    dropout: z.number().min(0).lt(1).default(0.1).describe(
      "share of the elements that are dropped",
    ),
    norm: z.enum([...NORMS]).default("layer").describe("how tokens are normalised"),
    feedForward: z.enum([...FEED_FORWARDS]).default("gelu").describe("what follows the attention"),
    queryKeyNorm: z.boolean().default(false).describe("whether queries and keys are normalised"),
  }),
  make(device, needs, settings, key) {
    return new EncoderDecoderChain(device, { ...needs, ...settings, key });
  },
};
