/** A transformer over the codes of images scale by scale. */
import * as z from "zod";
import { blockVisibility } from "../../core/functions/attention.ts";
import { add } from "../../core/functions/elementwise.ts";
import { gather } from "../../core/functions/indexing.ts";
import { broadcast, concatenate, reshape, slice } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Dropout } from "../../nn/dropout.ts";
import { partKey } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { type Context, Module } from "../../nn/module.ts";
import type { ModelKind } from "../kind.ts";
import { initializeWeights, normalParameter } from "./initial.ts";
import { type BlockSettings, StackCache, TransformerStack } from "./stack.ts";
import { BLOCK_KIND, HEADS_AND_DROPOUT, LAYERS, WIDTH } from "./stack_settings.ts";
import { checkTable } from "./table.ts";

/** The settings of a transformer over scales in a configuration. */
export interface ScaleTransformerSettings extends BlockSettings {
  /** The number of blocks. */
  readonly layers: number;
}

/** The requirements that a transformer over scales must meet. */
export interface ScaleTransformerNeeds {
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** D: the length of a code. */
  readonly codebookDim: number;
  /** The sides of the grids of codes, from the coarsest to the finest. */
  readonly scales: readonly number[];
  /** The number of classes; 0 without classes. */
  readonly classes: number;
  /** Whether the backward pass recomputes the blocks instead of keeping their values; by default it keeps them. */
  readonly recompute?: boolean;
}

/** Options of the constructor. */
export interface ScaleTransformerOptions extends ScaleTransformerNeeds, ScaleTransformerSettings {
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** The input for whole scales, one after another. */
export interface ScaleTransformerInput {
  /** int32 `[B]`: the class of each image, or the number of classes if the class is unknown. Its token is the input at
   * every position of the first scale. Omitted for later scales. */
  readonly labels?: Tensor;
  /** float32 `[B, n, D]`: the input for each scale after the first, row by row: the sum of the codes of all scales
   * before it, downsampled to its size (`MultiScaleQuantizer.before`). Omitted to predict only the first scale. */
  readonly sums?: Tensor;
}

/** A transformer that predicts all codes of a scale at once, from the class and the scales before. The features of a
 * position's token predict the code of that position. A token attends to the tokens of its own scale and of the scales
 * before.
 *
 *     x_1 = the class's token, at every position    x_k = project(average(Σ_{j<k} codes, s_k))
 *     logits = head(stack(x + positions + scale's vector))
 *
 * Source: VAR, arXiv 2404.02905, 3.2 and 3.3. Unlike in the paper, the blocks are those of the other transformers here:
 * the class does not modulate their norms (AdaLN).
 *
 * ```ts
 * import { openDevice, randomKey, ScaleTransformer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const model = new ScaleTransformer(device, {
 *   ...{ codebookSize: 16, codebookDim: 4, scales: [1, 2], classes: 0 },
 *   ...{ width: 8, heads: 2, layers: 1, dropout: 0 },
 *   ...{ norm: "layer", feedForward: "gelu", queryKeyNorm: false },
 *   key: randomKey(1, "model"),
 * });
 * const labels = device.tensor(Int32Array.of(0), [1]);
 * const sums = device.tensor(new Float32Array(16), [1, 4, 4]);
 * const features = model.forward({ labels, sums });
 * assert.deepEqual(model.logits(features).shape, [1, 5, 16]);
 * ```
 */
export class ScaleTransformer extends Module {
  /** `[classes + 1, width]`: the first token for each class, and for no class. */
  readonly firstTokens: Tensor;
  /** Maps sums of codes to tokens. */
  readonly project: Linear;
  /** `[Σ s², width]`: a vector for every position of every scale. */
  readonly positions: Tensor;
  /** `[scales, width]`: a vector for every scale. */
  readonly scaleVectors: Tensor;
  /** The blocks. */
  readonly stack: TransformerStack;
  /** Maps features to logits. */
  readonly head: Linear;
  readonly #options: ScaleTransformerOptions;
  readonly #dropout: Dropout;
  /** Positions of each scale. */
  readonly #lengths: readonly number[];

  /** Makes the initial weights.
   * @throws {RangeError} the heads do not divide the width
   */
  constructor(device: Device, options: ScaleTransformerOptions) {
    super();
    const { codebookSize, codebookDim, scales, classes, width, dropout, key } = options;
    const table = (rows: number, part: number) =>
      normalParameter(device, [rows, width], partKey(key, part));
    this.#lengths = scales.map((side) => side ** 2);
    this.firstTokens = table(classes + 1, 0);
    this.project = new Linear(device, codebookDim, width, { key: partKey(key, 1) });
    this.positions = table(this.#lengths.reduce((total, length) => total + length, 0), 2);
    this.scaleVectors = table(scales.length, 3);
    const own = { ...options, causal: false, key: partKey(key, 4) };
    this.stack = new TransformerStack(device, own);
    this.head = new Linear(device, width, codebookSize, { bias: false, key: partKey(key, 5) });
    initializeWeights(this.project, partKey(key, 1));
    initializeWeights(this.head, partKey(key, 5));
    this.#dropout = new Dropout(dropout);
    this.#options = options;
  }

  /** K: the number of codes. */
  get codebookSize(): number {
    return this.#options.codebookSize;
  }

  /** The sides of the grids of codes. */
  get scales(): readonly number[] {
    return this.#options.scales;
  }

  /** The number of classes; also the label of an image whose class is not known. */
  get classes(): number {
    return this.#options.classes;
  }

  /** Makes a cache of earlier scales for `forward`. The caller disposes of it. */
  cache(): StackCache {
    return new StackCache(this.stack);
  }

  /** The features of whole scales, after those in the cache: float32 `[B, s, width]`.
   * @throws {TypeError} there is neither a label nor a sum
   * @throws {RangeError} the input does not consist of whole scales, or the host wrote a label that does not exist
   */
  forward(input: ScaleTransformerInput, context?: Context, cache?: StackCache): Tensor {
    const tokens = this.#embed(input), { device } = tokens;
    const at = cache?.length ?? 0, [, count, width] = tokens.shape;
    this.#checkScales(at, at + count);
    const scaleOf = this.#lengths.flatMap((length, scale) => new Array<number>(length).fill(scale));
    const scales = device.tensor(Int32Array.from(scaleOf.slice(at, at + count)), [count]);
    const vectors = add(
      slice(this.positions, [at, 0], [count, width]),
      gather(this.scaleVectors, scales),
    );
    const visible = slice(blockVisibility(device, this.#lengths), [at], [count]);
    const own = (part: number) => context && { ...context, key: partKey(context.key, part) };
    const dropped = this.#dropout.forward(add(tokens, vectors), own(0));
    return this.stack.forward(dropped, own(1), { visible, cache });
  }

  /** Logits of the codes: float32 `[..., width]` → `[..., K]`. */
  logits(features: Tensor): Tensor {
    return this.head.forward(features);
  }

  #embed({ labels, sums }: ScaleTransformerInput): Tensor {
    const parts: Tensor[] = [];
    if (labels !== undefined) {
      checkTable(labels, this.firstTokens, "class");
      const rows = gather(this.firstTokens, labels), [batch, width] = rows.shape;
      const first = reshape(rows, [batch, 1, width]);
      parts.push(broadcast(first, [batch, this.#lengths[0], width]));
    }
    if (sums !== undefined) parts.push(this.project.forward(sums));
    const [first, ...rest] = parts;
    if (first !== undefined) return rest.length === 0 ? first : concatenate([first, ...rest], 1);
    throw new TypeError("Cannot run a transformer: there must be labels or sums, got neither");
  }

  #checkScales(from: number, to: number): void {
    let end = 0;
    const ends = this.#lengths.map((length) => end += length);
    if (ends.includes(to)) return;
    throw new RangeError(
      `Cannot run a transformer: tokens must be those of whole scales, which end at ${
        ends.join(", ")
      }, got ${to - from} after ${from}`,
    );
  }
}

/** Transformers over scales in the registry. */
export const scaleTransformerKind: ModelKind<
  ScaleTransformer,
  ScaleTransformerNeeds,
  ScaleTransformerSettings
> = {
  schema: z.strictObject({
    width: WIDTH,
    layers: LAYERS,
    ...HEADS_AND_DROPOUT,
    ...BLOCK_KIND,
  }),
  make(device, needs, settings, key) {
    return new ScaleTransformer(device, { ...needs, ...settings, key });
  },
};
