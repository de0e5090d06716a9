/** A transformer over the codes of images. */
import * as z from "zod";
import { add } from "../../core/functions/elementwise.ts";
import { gather } from "../../core/functions/indexing.ts";
import { concatenate, reshape, slice } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { type Context, Module } from "../../nn/module.ts";
import { rotationOf } from "../../nn/rotary.ts";
import type { ModelKind } from "../kind.ts";
import { initializeWeights, normalParameter } from "./initial.ts";
import { type BlockSettings, StackCache, TransformerStack } from "./stack.ts";
import { BLOCK_KIND, HEADS_AND_DROPOUT, LAYERS, WIDTH } from "./stack_settings.ts";
import { checkTable } from "./table.ts";

const POSITIONS = ["learned", "rotary"] as const;

/** The settings of a transformer over codes in a configuration. */
export interface CodeTransformerSettings extends BlockSettings {
  /** The number of blocks. */
  readonly layers: number;
  /** The position encoding: a learned vector for each position, or rotary embeddings of queries and keys. */
  readonly positions: "learned" | "rotary";
}

/** The requirements that a transformer over codes must meet. */
export interface CodeTransformerNeeds {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** Rows and columns of an image's grid of codes. */
  readonly grid: readonly [height: number, width: number];
  /** The number of classes; 0 without classes. */
  readonly classes: number;
  /** Whether each code is predicted from the codes before it. Otherwise all codes attend to each other, and an
   * additional mask token, K, stands for hidden codes. */
  readonly causal: boolean;
  /** The width of another sequence that the tokens attend to (cross-attention); by default there is no such sequence.
   */
  readonly memoryWidth?: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values; by default it keeps them. */
  readonly recompute?: boolean;
}

/** Options of the constructor. */
export interface CodeTransformerOptions extends CodeTransformerNeeds, CodeTransformerSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** A part of a sequence. */
export interface CodeTransformerInput {
  /** int32 `[B]`: the class of each image, or the number of classes if the class is unknown. Its token is the first of
   * the sequence. Omitted in a later part of the sequence. */
  readonly labels?: Tensor;
  /** int32 `[B, n]`: codes in row order; K for a hidden code. Omitted if only the features of the first token are
   * needed. */
  readonly codes?: Tensor;
  /** float32 `[B, T, memoryWidth]`: the other sequence, for a model with cross-attention. */
  readonly memory?: Tensor;
}

/** A transformer over the codes of images in row order. The first token encodes the class, or marks the start of the
 * sequence if the class is unknown. With `causal`, the features of a token predict the code after it. Otherwise the
 * features of a hidden code's token predict that code.
 *
 * Source: arXiv 2012.09841 (causal), arXiv 2202.04200 (hidden codes). With rotary positions, the first token is at (0,
 * 0) and the code of row y and column x at (y + 1, x + 1).
 *
 * ```ts
 * import { CodeTransformer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const model = new CodeTransformer(device, {
 *   ...{ codebookSize: 16, grid: [2, 2], classes: 0, causal: true },
 *   ...{ width: 8, heads: 2, layers: 1, dropout: 0, positions: "learned" },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
 *   key: randomKey(1, "model"),
 * });
 * const labels = device.tensor(Int32Array.of(0), [1]);
 * const codes = device.tensor(Int32Array.of(3, 1, 4), [1, 3]);
 * const features = model.forward({ labels, codes });
 * assert.deepEqual(model.logits(features).shape, [1, 4, 16]);
 * ```
 */
export class CodeTransformer extends Module {
  /** `[K, width]`, or `[K + 1, width]` with a mask token for hidden codes. */
  readonly tokens: Tensor;
  /** `[classes + 1, width]`: the first token for each class, and for no class. */
  readonly firstTokens: Tensor;
  /** `[length, width]`: a vector for every position in the sequence, if positions are learned. */
  readonly positions: Tensor | undefined;
  /** The blocks. */
  readonly stack: TransformerStack;
  /** Maps features to logits. */
  readonly head: Linear;
  /** The number of tokens of the longest sequence. */
  readonly length: number;
  readonly #options: CodeTransformerOptions;
  readonly #dropout: Dropout;

  /** Makes the initial weights.
   * @throws {RangeError} the heads do not divide the width, or a head's width is not divisible by 4 with rotary positions
   */
  constructor(device: Device, options: CodeTransformerOptions) {
    super();
    const { codebookSize, grid: [height, columns], classes, causal, width, dropout, key } = options;
    const { heads, positions } = options;
    if (positions === "rotary" && width % (4 * heads) !== 0) {
      throw new RangeError(
        `Cannot make a transformer: with rotary positions the width of a head must be divisible by 4, got ${width}/${heads}`,
      );
    }
    const table = (rows: number, part: number) =>
      normalParameter(device, [rows, width], partKey(key, part));
    this.length = height * columns + (causal ? 0 : 1);
    this.tokens = table(causal ? codebookSize : codebookSize + 1, 0);
    this.firstTokens = table(classes + 1, 1);
    this.positions = positions === "learned" ? table(this.length, 2) : undefined;
    this.stack = new TransformerStack(device, { ...options, key: partKey(key, 3) });
    this.head = new Linear(device, width, codebookSize, { bias: false, key: partKey(key, 4) });
    initializeWeights(this.head, partKey(key, 4));
    this.#dropout = new Dropout(dropout);
    this.#options = options;
  }

  /** K: the number of codes. */
  get codebookSize(): number {
    return this.#options.codebookSize;
  }

  /** Rows and columns of an image's grid of codes. */
  get grid(): readonly [height: number, width: number] {
    return this.#options.grid;
  }

  /** The number of classes; also the label of an image whose class is not known. */
  get classes(): number {
    return this.#options.classes;
  }

  /** Makes a cache of earlier tokens for `forward`. The caller disposes of it. */
  cache(): StackCache {
    return new StackCache(this.stack);
  }

  /** The features of a sequence, or of a part that continues the tokens in the cache: float32 `[B, s, width]`.
   * @throws {TypeError} there is neither a label nor a code, or the memory is missing, or the model has no
   * cross-attention for it
   * @throws {RangeError} the sequence is too long, or the host wrote a label or a code that does not exist
   */
  forward(input: CodeTransformerInput, context?: Context, cache?: StackCache): Tensor {
    const tokens = this.#embed(input);
    const at = cache?.length ?? 0, count = tokens.shape[1];
    if (at + count > this.length) {
      throw new RangeError(
        `Cannot run a transformer: a sequence must have at most ${this.length} tokens, got ${
          at + count
        }`,
      );
    }
    const { positions } = this;
    const placed = positions === undefined
      ? tokens
      : add(tokens, slice(positions, [at, 0], [count, positions.shape[1]]));
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    const rotation = positions === undefined ? this.#rotation(at, count) : undefined;
    const seen = { rotation, cache, memory: input.memory };
    return this.stack.forward(this.#dropout.forward(placed, own(0)), own(1), seen);
  }

  /** Logits of the codes: float32 `[..., width]` → `[..., K]`. */
  logits(features: Tensor): Tensor {
    return this.head.forward(features);
  }

  #embed({ labels, codes }: CodeTransformerInput): Tensor {
    const parts: Tensor[] = [];
    if (labels !== undefined) {
      checkTable(labels, this.firstTokens, "class");
      const rows = gather(this.firstTokens, labels);
      parts.push(reshape(rows, [rows.shape[0], 1, rows.shape[1]]));
    }
    if (codes !== undefined) {
      checkTable(codes, this.tokens, "code");
      parts.push(gather(this.tokens, codes));
    }
    const [first, ...rest] = parts;
    if (first !== undefined) return rest.length === 0 ? first : concatenate([first, ...rest], 1);
    throw new TypeError("Cannot run a transformer: there must be labels or codes, got neither");
  }

  #rotation(at: number, count: number): ReturnType<typeof rotationOf> {
    const { grid: [, columns], width, heads } = this.#options;
    const positions = Array.from({ length: count }, (_, index) => {
      const place = at + index - 1;
      return place < 0 ? [0, 0] as const : [
        Math.floor(place / columns) + 1,
        place % columns + 1,
      ] as const;
    });
    return rotationOf(this.tokens.device, positions, width / heads);
  }
}

/** Transformers over codes in the registry. */
export const codeTransformerKind: ModelKind<
  CodeTransformer,
  CodeTransformerNeeds,
  CodeTransformerSettings
> = {
  schema: z.strictObject({
    width: WIDTH,
    layers: LAYERS,
    ...HEADS_AND_DROPOUT,
    positions: z.enum(POSITIONS).default("learned").describe("the position encoding of the tokens"),
    ...BLOCK_KIND,
  }),
  make(device, needs, settings, key) {
    return new CodeTransformer(device, { ...needs, ...settings, key });
  },
};
