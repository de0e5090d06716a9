/** A chain of transformers over codes. Each consists of an encoder and a decoder. */
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
import { normalParameter } from "./initial.ts";
import { type BlockSettings, type StackCache, TransformerStack } from "./stack.ts";
import { BLOCK_KIND, HEADS_AND_DROPOUT, WIDTH } from "./stack_settings.ts";
import { checkTable } from "./table.ts";

/** The settings of encoder-decoders over codes in a configuration. */
export interface EncoderDecoderSettings extends BlockSettings {
  /** The number of blocks of each decoder. */
  readonly layers: number;
  /** The number of blocks of each encoder. */
  readonly encoderLayers: number;
}

/** The requirements that an encoder-decoder must meet. */
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

/** Options of the constructor. */
export interface EncoderDecoderOptions extends EncoderDecoderNeeds, EncoderDecoderSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** Predicts the codes of an image one by one, given other codes of the same grid. The encoder sees all of the other
 * codes, and a causal decoder attends to the encoder's output (arXiv 1706.03762, 3.1; over codes: arXiv 2108.08827).
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
  /** `[K, width]`: the tokens of the encoder. */
  readonly tokens: Tensor;
  /** `[height·width, width]`: a vector for every position of the encoder. */
  readonly positions: Tensor;
  /** The encoder, which sees all codes. */
  readonly encoder: TransformerStack;
  /** The decoder, which sees the codes before the current one, and the encoder's output. */
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

  /** Encodes the codes that the decoder attends to: int32 `[B, height·width]` → float32 `[B, height·width, width]`.
   * @throws {TypeError} the number of codes is not the number of positions of the grid
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

  /** The features of a sequence, or of a part that continues the tokens in the cache, as in the decoder. */
  decode(input: CodeTransformerInput, context?: Context, cache?: StackCache): Tensor {
    const own = context && { ...context, key: partKey(context.key, 2) };
    return this.decoder.forward(input, own, cache);
  }
}

/** The requirements that a chain must meet. */
export interface EncoderDecoderChainNeeds extends EncoderDecoderNeeds {
  /** The number of encoder-decoders. */
  readonly steps: number;
}

/** Options of the constructor. */
export interface EncoderDecoderChainOptions
  extends EncoderDecoderChainNeeds, EncoderDecoderSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** A chain of encoder-decoders, one for each step of a diffusion. */
export class EncoderDecoderChain extends Module {
  /** The encoder-decoder of each step t, from t = 1, whose output is the codes of images. */
  readonly steps: readonly EncoderDecoder[];
  /** The number of classes that the decoders are conditioned on; 0 without classes. */
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
    width: WIDTH,
    layers: z.int().min(1).default(4).describe("the number of blocks in the decoder of each step"),
    encoderLayers: z.int().min(1).default(2).describe(
      "the number of blocks in the encoder of each step",
    ),
    ...HEADS_AND_DROPOUT,
    ...BLOCK_KIND,
  }),
  make(device, needs, settings, key) {
    return new EncoderDecoderChain(device, { ...needs, ...settings, key });
  },
};
