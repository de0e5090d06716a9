/** Multi-scale quantisation (VAR, arXiv 2404.02905). */
import * as z from "zod";
import { detach, straightThrough, withoutGradients } from "../core/execute.ts";
import { add, cast, greaterEqual, mul, sub } from "../core/functions/elementwise.ts";
import { concatenate, reshape, slice } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import type { RandomKey } from "../core/random.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Conv2d } from "../nn/convolution.ts";
import { partKey } from "../nn/initializers.ts";
import { meanSquaredError } from "../nn/losses.ts";
import { averageTo, bicubicTo } from "../nn/resampling.ts";
import { readSettings } from "../settings/settings.ts";
import { combined, CompositeQuantizer } from "./composite.ts";
import { countNonFinite, finiteRows, markRows } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import type { CompositeMethod } from "./method.ts";
import type { Assignment, Move, QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { codesInUse } from "./quantizer_dropout.ts";

/** The settings of a multi-scale quantiser; `quantizerDefaults("multi-scale")` gives the defaults. */
export interface MultiScaleSettings {
  /** The sides of the grids of codes, from the coarsest to the side of the feature map. */
  readonly scales: readonly number[];
  /** How many convolutions φ there are; neighbouring scales share one. 0: none. */
  readonly convolutions: number;
  /** β: the weight of the commitment loss between the features and the partial sums of the scales. */
  readonly commitmentWeight: number;
  /** The fraction of training steps that decode only the first few scales, a random number of them. */
  readonly dropout: number;
}

/** Options of the constructor. */
export interface MultiScaleOptions extends Partial<MultiScaleSettings> {
  /** Makes the quantiser that all scales share, with the random initial values of the given key. */
  readonly inner: (key: RandomKey) => Quantizer;
  /** Key for the random initial values. */
  readonly key: RandomKey;
}

/** Quantises a grid of features as a whole, scale by scale: first its average, then the remainder at 2×2 positions, and so
 * on up to the size of the grid. All scales share one codebook.
 *
 * Source: VAR, arXiv 2404.02905, algorithms 1 and 2; `averageTo` downsamples grids and `bicubicTo` upsamples them, as
 * in its public code.
 *
 *     r₁ = z    c_k = inner(average(r_k, s_k))    r_{k+1} = r_k − sg(φ_k(bicubic(c_k)))    ẑ = Σ_k φ_k(bicubic(c_k))
 *     φ(x) = ½x + ½(3×3 convolution of x)
 *     loss = mean over k of the inner quantiser's losses at average(r_k, s_k), of β·mean ‖z − sg(ẑ_k)‖² and, for the
 *            φ, of mean ‖sg(z) − ẑ_k‖², with ẑ_k = Σ_{j≤k} φ_j(bicubic(c_j))
 *
 * The gradient of ẑ is that of the codes of the last scale, which has the size of the grid: a straight-through gradient
 * passes unchanged. Unlike in the paper, the codes learn by the rule of the inner quantiser, from its input at each
 * scale. k-means runs on the inputs that all scales would have if each scale before them were exact. With `dropout`, some
 * training steps decode only the first few scales; all scales still learn in these steps.
 *
 * Features are `[..., h, w, D]` with h and w the last scale; indices int32 `[..., Σ s²]`, scale after scale, by rows.
 * `lookup` also takes the indices of the first few scales, as a coarser code. If a feature of a grid is not finite, the whole
 * grid gets index −1. There is no padding.
 *
 * ```ts
 * import { MultiScaleQuantizer, openDevice, randomKey, uniform, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new MultiScaleQuantizer(device, {
 *   inner: (key) => new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key }),
 *   scales: [1, 2, 3],
 *   key,
 * });
 * const features = uniform(device, [5, 3, 3, 2], key);
 * const { quantized, indices } = quantizer.quantize(features, { training: false, key });
 * assert.deepEqual(indices.shape, [5, 1 + 4 + 9]);
 * assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
 * ```
 */
export class MultiScaleQuantizer extends CompositeQuantizer {
  /** D. */
  readonly codebookDim: number;
  /** The convolutions of φ, from the coarsest scales to the finest. */
  readonly convolutions: readonly Conv2d[];
  readonly #scales: readonly number[];
  readonly #commitmentWeight: number;
  readonly #dropout: number;

  /** Makes the inner quantiser and the convolutions.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor(device: Device, { inner, key, ...options }: MultiScaleOptions) {
    const { scales, convolutions, commitmentWeight, dropout } = readSettings(
      multiScaleMethod.schema,
      options,
      "make a multi-scale quantizer",
    );
    if (scales.some((side, scale) => scale > 0 && side < scales[scale - 1])) {
      throw new RangeError(
        `Cannot make a multi-scale quantizer: no scale may be smaller than the one before, got ${
          scales.join(", ")
        }`,
      );
    }
    super({
      inner,
      count: scales.reduce((total, side) => total + side ** 2, 0),
      shared: true,
      key,
    });
    const width = this.parts[0].codebookDim;
    this.codebookDim = width;
    this.convolutions = Array.from(
      { length: Math.min(convolutions, scales.length) },
      (_, part) =>
        new Conv2d(device, width, width, {
          key: partKey(key, part + 1),
          kernelSize: 3,
          padding: 1,
        }),
    );
    this.#scales = scales;
    this.#commitmentWeight = commitmentWeight;
    this.#dropout = dropout;
  }

  /** The sides of the grids of codes. */
  get scales(): readonly number[] {
    return this.#scales;
  }

  /** The size of the last scale's grid. */
  override get grid(): readonly [number, number] {
    const side = this.#scales[this.#scales.length - 1];
    return [side, side];
  }

  /** Calls `begin` of the inner quantiser with the inputs that all scales would have if each scale before them were
   * exact. */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!this.awaitsBatch) return;
    withoutGradients(() => {
      using _scope = features.device.scope();
      const { grids } = this.#gridsOf(features, context);
      const inputs = this.#descend(grids, (own) => this.#enlarge(own));
      this.beginPart(0, joinScales(inputs), context, 0);
    });
  }

  /** The inputs of all scales in the form that the inner quantiser compares with its codes: float32 `[..., Σ s², D']`.
   * Takes as long as `quantize`. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    const { grids } = this.#gridsOf(features, context);
    const inputs = this.#descend(grids, (own, scale) => {
      const { quantized } = this.quantizePart(0, own, context, scale);
      return detach(this.#rebuilt(detach(quantized), scale));
    });
    const joined = joinScales(inputs.map((own) => this.comparedPart(0, own, context)));
    return reshape(joined, [...features.shape.slice(0, -3), ...joined.shape.slice(1)]);
  }

  /** Losses: those of the inner quantiser, averaged over the scales; `gridCommitment`; and, if there are convolutions,
   * `convolutions`.
   * @throws {TypeError} the features are not grids of the last scale's size, or there is a mask
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const { grids, finite } = this.#gridsOf(features, context);
    const results: Quantized[] = [], added: Tensor[] = [];
    this.#descend(grids, (own, scale) => {
      const result = this.quantizePart(0, own, context, scale);
      const rebuilt = this.#rebuilt(detach(result.quantized), scale);
      results.push(result);
      added.push(rebuilt);
      return detach(rebuilt);
    });
    const { losses, usage } = combined(results), last = results[results.length - 1];
    const kept = codesInUse(context, added.length, this.#dropout);
    const total = added.slice(0, kept).reduce(add);
    const indices = joinScales(results.map(({ indices }) => indices));
    return {
      quantized: reshape(straightThrough(last.quantized, total), features.shape),
      indices: reshape(indices, [...features.shape.slice(0, -3), ...this.codeAxes]),
      losses: { ...losses, ...this.#gridLosses(added, grids) },
      usage,
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[..., Σ s²]` of all scales, or of the first few → float32 `[..., h, w, D]`.
   * @throws {TypeError} the indices do not cover whole scales
   */
  lookup(indices: Tensor): Tensor {
    const rebuilt = this.#lookupScales(indices).reduce(add);
    const lead = indices.shape.slice(0, -this.codeAxes.length);
    return reshape(rebuilt, [...lead, ...rebuilt.shape.slice(1)]);
  }

  /** The input for predicting each scale after the first: the sum of all scales before it, averaged to its size.
   * @param indices int32 `[B, n]`: the indices of the first few scales, without the last
   * @returns float32 `[B, m, D]`: the inputs for the second scale up to the one after the given scales, row by row
   * @throws {TypeError} the indices do not cover whole scales, or include the last scale
   */
  before(indices: Tensor): Tensor {
    let total: Tensor | undefined;
    const sums = this.#lookupScales(indices).map((own, scale) => {
      total = total === undefined ? own : add(total, own);
      const side = this.#scales[scale + 1];
      if (side !== undefined) return averageTo(total, side, side);
      throw new TypeError(
        "Cannot sum the scales before the next: the indices must not include the last scale, got all",
      );
    });
    return joinScales(sums);
  }

  /** Codes features as `quantize` does, except that other codes take the place of some of a scale before the finer
   * scales are coded. So the finer scales code what the exchanged codes miss.
   *
   * Source: the self-correction of Infinity, arXiv 2412.04431, 3.4.
   * @param exchange given the codes of a scale, int32 `[B, s, s, ...]`, returns those that take their place
   * @returns int32 `[B, Σ s², ...]`: the codes of every scale, and those that took their place
   * @throws {TypeError} as `quantize`
   */
  quantizeExchanged(
    features: Tensor,
    exchange: (codes: Tensor, scale: number) => Tensor,
    context: QuantizeContext,
  ): { readonly codes: Tensor; readonly exchanged: Tensor } {
    const { grids } = this.#gridsOf(features, context);
    const codes: Tensor[] = [], exchanged: Tensor[] = [];
    this.#descend(grids, (own, scale) => {
      const { indices } = this.quantizePart(0, own, context, scale);
      codes.push(indices);
      exchanged.push(exchange(indices, scale));
      return this.#rebuilt(this.lookupPart(0, exchanged[scale]), scale);
    });
    return { codes: joinScales(codes), exchanged: joinScales(exchanged) };
  }

  /** Updates the inner quantiser with its inputs at all scales. */
  override update(
    { features, indices, usage }: Assignment,
    context: QuantizeContext,
  ): readonly Move[] {
    return withoutGradients(() => {
      const { grids } = this.#gridsOf(features, context), added = this.#lookupScales(indices);
      const inputs = joinScales(this.#descend(grids, (_, scale) => added[scale]));
      const own = reshape(indices, [grids.shape[0], ...this.codeAxes]);
      return this.updatePart(0, { features: inputs, indices: own, usage }, context);
    });
  }

  /** The input of every scale: the downsampled residual of the scales before it, `[B, s, s, D]`.
   * @param addedBy what a scale adds, `[B, h, w, D]`, given its input
   */
  #descend(grids: Tensor, addedBy: (input: Tensor, scale: number) => Tensor): Tensor[] {
    let rest = grids;
    return this.#scales.map((side, scale) => {
      const input = averageTo(rest, side, side);
      rest = sub(rest, addedBy(input, scale));
      return input;
    });
  }

  /** The squared distance between the features and the partial sums, averaged over the scales: one loss for the encoder
   * and, if there are convolutions, one for them. */
  #gridLosses(added: readonly Tensor[], grids: Tensor): Record<string, Tensor> {
    const sums = added.map((_, scale) => added.slice(0, scale + 1).reduce(add));
    const mean = (errors: readonly Tensor[]) => mul(errors.reduce(add), 1 / errors.length);
    const commitment = () => mean(sums.map((sum) => meanSquaredError(detach(sum), grids)));
    const convolutions = () => mean(sums.map((sum) => meanSquaredError(sum, detach(grids))));
    const weight = this.#commitmentWeight;
    return {
      ...(weight > 0 && { gridCommitment: mul(commitment(), weight) }),
      ...(this.convolutions.length > 0 && { convolutions: convolutions() }),
    };
  }

  /** The features as `[B, h, w, D]`. A grid with a feature that is not finite becomes NaN everywhere. */
  #gridsOf(
    features: Tensor,
    { mask }: QuantizeContext,
  ): { readonly grids: Tensor; readonly finite: Tensor } {
    const { codebookDim: width, grid: [height, columns] } = this, { shape } = features;
    const at = shape.length - 3;
    if (shape[at] !== height || shape[at + 1] !== columns || shape[at + 2] !== width) {
      throw new TypeError(
        `Cannot quantize: with the scales ${this.#scales.join(", ")} features must be ` +
          `[..., ${height}, ${columns}, ${width}], got shape ${showShape(shape)}; ` +
          "the last of --quantizer.scales must be the side of the grid",
      );
    }
    if (mask !== undefined) {
      throw new TypeError(
        "Cannot quantize: a multi-scale quantizer must be given no mask, as its codes cover whole grids, got one",
      );
    }
    const grids = reshape(features, [-1, height, columns, width]);
    const finite = finiteRows(grids), each = height * columns;
    const counted = sum(cast(reshape(finite, [grids.shape[0], each]), "float32"), 1);
    const whole = reshape(greaterEqual(counted, each), [grids.shape[0], 1, 1]);
    return { grids: markRows(grids, whole), finite };
  }

  /** What the codes of a scale add to the sum: `[B, s, s, D]` → `[B, h, w, D]`. */
  #rebuilt(codes: Tensor, scale: number): Tensor {
    const enlarged = this.#enlarge(codes), { convolutions } = this;
    if (convolutions.length === 0) return enlarged;
    const shared = Math.floor(scale / this.#scales.length * convolutions.length);
    return mul(add(enlarged, convolutions[shared].forward(enlarged)), 0.5);
  }

  #enlarge(codes: Tensor): Tensor {
    return bicubicTo(codes, ...this.grid);
  }

  /** What the codes of each scale add to the sum: `[B, h, w, D]` each. */
  #lookupScales(indices: Tensor): Tensor[] {
    checkIndices(indices, this.codebookSize);
    const [count, ...inner] = this.codeAxes, axis = indices.shape.length - inner.length - 1;
    const given = indices.shape[axis], batch = sizeOf(indices.shape.slice(0, axis));
    const rows = reshape(indices, [batch, given, ...inner]), parts: Tensor[] = [];
    let at = 0;
    for (const [scale, side] of this.#scales.entries()) {
      if (at + side ** 2 > given) break;
      const own = slice(rows, [0, at, ...inner.map(() => 0)], [batch, side ** 2, ...inner]);
      const codes = this.lookupPart(0, reshape(own, [batch, side, side, ...inner]));
      parts.push(this.#rebuilt(codes, scale));
      at += side ** 2;
    }
    if (at === given && parts.length > 0) return parts;
    throw new TypeError(
      `Cannot look up codes: there must be ${count} indices, one per code of the scales ${
        this.#scales.join(", ")
      }, or those of the first few scales, got ${given}`,
    );
  }
}

/** `[B, s, s, ...]` of every scale, one after another: `[B, Σ s², ...]`. */
function joinScales(parts: readonly Tensor[]): Tensor {
  const [first, ...rest] = parts.map((part) => {
    const [batch, height, width, ...own] = part.shape;
    return reshape(part, [batch, height * width, ...own]);
  });
  return concatenate([first, ...rest], 1);
}

/** `multi-scale` in the registry. */
export const multiScaleMethod: CompositeMethod<MultiScaleSettings> = {
  layout: "scales",
  schema: z.strictObject({
    scales: z.array(z.int().min(1)).min(1).default([1, 2, 3, 4, 5, 7])
      .describe(
        "the sides of the grids of codes, from coarse to fine, where a side may repeat; the last is the side of the feature map",
      ),
    convolutions: z.int().min(0).default(4)
      .describe(
        "the number of convolutions after upsampling, each shared by neighbouring scales; 0: none",
      ),
    commitmentWeight: z.number().min(0).default(0.25)
      .describe(
        "β: the weight of the commitment loss between the features and the partial sums of the scales",
      ),
    dropout: z.number().min(0).max(1).default(0)
      .describe(
        "the fraction of training steps that decode only a random number of the first scales",
      ),
  }),
  makeOf: (device, inner, settings, key) =>
    new MultiScaleQuantizer(device, { ...settings, inner, key }),
};
