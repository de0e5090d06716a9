/** A transformer over images with several codes per position. */
import * as z from "zod";
import { add } from "../../core/functions/elementwise.ts";
import { gather } from "../../core/functions/indexing.ts";
import { concatenate, reshape, slice } from "../../core/functions/movement.ts";
import { sum } from "../../core/functions/reductions.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { type Context, Module } from "../../nn/module.ts";
import type { ModelKind } from "../kind.ts";
import { initializeWeights, normalParameter } from "./initial.ts";
import { checkTable } from "./table.ts";
import { type BlockSettings, type StackCache, TransformerStack } from "./stack.ts";
import { BLOCK_KIND, HEADS_AND_DROPOUT, WIDTH } from "./stack_settings.ts";

/** The settings of a transformer over several codes per position in a configuration. */
export interface ResidualTransformerSettings extends BlockSettings {
  /** The number of blocks over the positions. */
  readonly layers: number;
  /** The number of blocks over the codes of a position. */
  readonly depthLayers: number;
}

/** The requirements that a transformer over several codes per position must meet. */
export interface ResidualTransformerNeeds {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** Rows and columns of the positions of an image. */
  readonly grid: readonly [height: number, width: number];
  /** The number of codes per position. */
  readonly depth: number;
  /** The number of classes; 0 without classes. */
  readonly classes: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values; by default it keeps them. */
  readonly recompute?: boolean;
}

/** Options of the constructor. */
export interface ResidualTransformerOptions
  extends ResidualTransformerNeeds, ResidualTransformerSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** A part of a sequence of positions. */
export interface ResidualTransformerInput {
  /** int32 `[B]`: the class of each image, or the number of classes if the class is unknown. It is the first token of
   * the sequence. */
  readonly labels?: Tensor;
  /** int32 `[B, n, depth]`: the codes of positions, in row order. */
  readonly codes?: Tensor;
}

/** The RQ-transformer (arXiv 2203.01941, 3.2): one causal transformer over the positions, then a small one over the
 * codes of each position.
 *
 *     u_1 = the class's token    u_t = Σ_d e(S_{t−1,d})    h = spatial(u + positions)
 *     v_{t,1} = h_t              v_{t,d} = Σ_{d'<d} e(S_{t,d'})    logits = head(depth(v + depthPositions))
 *
 * ```ts
 * import { openDevice, randomKey, ResidualTransformer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const model = new ResidualTransformer(device, {
 *   ...{ codebookSize: 16, grid: [1, 2], depth: 3, classes: 0 },
 *   ...{ width: 8, heads: 2, layers: 1, depthLayers: 1, dropout: 0 },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
 *   key: randomKey(1, "model"),
 * });
 * const labels = device.tensor(Int32Array.of(0), [1]);
 * const codes = device.tensor(Int32Array.of(3, 1, 4, 1, 5, 9), [1, 2, 3]);
 * assert.deepEqual(model.logits(model.forward(labels, codes)).shape, [1, 2, 3, 16]);
 * ```
 */
export class ResidualTransformer extends Module {
  /** `[K, width]`. */
  readonly tokens: Tensor;
  /** `[classes + 1, width]`: the first token for each class, and for no class. */
  readonly firstTokens: Tensor;
  /** `[height·width, width]`: a vector for every position. */
  readonly positions: Tensor;
  /** `[depth, width]`: a vector for every code of a position. */
  readonly depthPositions: Tensor;
  /** The transformer over the positions. */
  readonly spatialStack: TransformerStack;
  /** The transformer over the codes of a position. */
  readonly depthStack: TransformerStack;
  /** Maps features to logits. */
  readonly head: Linear;
  readonly #options: ResidualTransformerOptions;
  readonly #dropout: Dropout;

  /** Makes the initial weights.
   * @throws {RangeError} the heads do not divide the width
   */
  constructor(device: Device, options: ResidualTransformerOptions) {
    super();
    const { codebookSize, grid: [height, columns], depth, classes, width, key } = options;
    const table = (rows: number, part: number) =>
      normalParameter(device, [rows, width], partKey(key, part));
    const stack = (layers: number, part: number) =>
      new TransformerStack(device, { ...options, layers, causal: true, key: partKey(key, part) });
    this.tokens = table(codebookSize, 0);
    this.firstTokens = table(classes + 1, 1);
    this.positions = table(height * columns, 2);
    this.depthPositions = table(depth, 3);
    this.spatialStack = stack(options.layers, 4);
    this.depthStack = stack(options.depthLayers, 5);
    this.head = new Linear(device, width, codebookSize, { bias: false, key: partKey(key, 6) });
    initializeWeights(this.head, partKey(key, 6));
    this.#dropout = new Dropout(options.dropout);
    this.#options = options;
  }

  /** K: the number of codes. */
  get codebookSize(): number {
    return this.#options.codebookSize;
  }

  /** The number of codes per position. */
  get depth(): number {
    return this.#options.depth;
  }

  /** The number of classes; also the label of an image whose class is not known. */
  get classes(): number {
    return this.#options.classes;
  }

  /** The features that predict every code of whole images, each computed from the codes before it.
   * @param labels int32 `[B]`
   * @param codes int32 `[B, height·width, depth]`
   * @returns float32 `[B, height·width, depth, width]`
   * @throws {RangeError} there are too many positions, or the host wrote a label or a code that does not exist
   */
  forward(labels: Tensor, codes: Tensor, context?: Context): Tensor {
    checkTable(codes, this.tokens, "code");
    const [batch, count, depth] = codes.shape;
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    const shown = count === 1 ? undefined : slice(codes, [0, 0, 0], [batch, count - 1, depth]);
    const positions = this.spatial({ labels, codes: shown }, own(0));
    const width = positions.shape[2], places = batch * count;
    const before = depth === 1
      ? undefined
      : reshape(slice(codes, [0, 0, 0], [batch, count, depth - 1]), [places, depth - 1]);
    const features = this.deep(reshape(positions, [places, width]), before, own(1));
    return reshape(features, [batch, count, depth, width]);
  }

  /** The features of positions, or of a part that continues the positions in the cache: float32 `[B, s, width]`. Each
   * predicts the position after those that it sees.
   * @throws {TypeError} there is neither a label nor a code
   * @throws {RangeError} there are too many positions, or the host wrote a label or a code that does not exist
   */
  spatial(
    { labels, codes }: ResidualTransformerInput,
    context?: Context,
    cache?: StackCache,
  ): Tensor {
    const parts: Tensor[] = [];
    if (labels !== undefined) {
      checkTable(labels, this.firstTokens, "class");
      const rows = gather(this.firstTokens, labels);
      parts.push(reshape(rows, [rows.shape[0], 1, rows.shape[1]]));
    }
    if (codes !== undefined) {
      checkTable(codes, this.tokens, "code");
      parts.push(sum(gather(this.tokens, codes), 2));
    }
    const [first, ...rest] = parts;
    if (first === undefined) {
      throw new TypeError("Cannot run a transformer: there must be labels or codes, got neither");
    }
    const tokens = rest.length === 0 ? first : concatenate([first, ...rest], 1);
    const at = cache?.length ?? 0, [, count, width] = tokens.shape;
    if (at + count > this.positions.shape[0]) {
      throw new RangeError(
        `Cannot run a transformer: a sequence must have at most ${
          this.positions.shape[0]
        } positions, got ${at + count}`,
      );
    }
    const placed = add(tokens, slice(this.positions, [at, 0], [count, width]));
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    return this.spatialStack.forward(this.#dropout.forward(placed, own(0)), own(1), { cache });
  }

  /** The features that predict the codes of some positions, each computed from the codes before it: float32 `[N, n + 1,
   * width]`, without those in the cache.
   * @param positions float32 `[N, width]`, from `spatial`
   * @param codes int32 `[N, n]`: the first codes of each position; omitted to predict the first code
   */
  deep(
    positions: Tensor,
    codes: Tensor | undefined,
    context?: Context,
    cache?: StackCache,
  ): Tensor {
    const [places, width] = positions.shape;
    const tokens = [reshape(positions, [places, 1, width])];
    if (codes !== undefined) {
      checkTable(codes, this.tokens, "code");
      const count = codes.shape[1], vectors = gather(this.tokens, codes);
      for (let d = 0; d < count; d++) {
        const own = slice(vectors, [0, d, 0], [places, 1, width]);
        tokens.push(d === 0 ? own : add(tokens[d], own));
      }
    }
    const at = cache?.length ?? 0;
    const [first, ...rest] = tokens.slice(at);
    const joined = concatenate([first, ...rest], 1), count = joined.shape[1];
    const placed = add(joined, slice(this.depthPositions, [at, 0], [count, width]));
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    return this.depthStack.forward(this.#dropout.forward(placed, own(0)), own(1), { cache });
  }

  /** Logits of the codes: float32 `[..., width]` → `[..., K]`. */
  logits(features: Tensor): Tensor {
    return this.head.forward(features);
  }
}

/** The RQ-transformer in the registry. */
export const residualTransformerKind: ModelKind<
  ResidualTransformer,
  ResidualTransformerNeeds,
  ResidualTransformerSettings
> = {
  schema: z.strictObject({
    width: WIDTH,
    layers: z.int().min(1).default(4).describe(
      "the number of blocks in the transformer over the positions",
    ),
    depthLayers: z.int().min(1).default(2).describe(
      "the number of blocks in the transformer over the codes of a position",
    ),
    ...HEADS_AND_DROPOUT,
    ...BLOCK_KIND,
  }),
  make(device, needs, settings, key) {
    return new ResidualTransformer(device, { ...needs, ...settings, key });
  },
};
