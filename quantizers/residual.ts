/** Residual quantisation (RQ-VAE, arXiv 2203.01941). */
import * as z from "zod";
import { detach, straightThrough, withoutGradients } from "../core/execute.ts";
import { add, mul, sub } from "../core/functions/elementwise.ts";
import { concatenate, reshape, slice } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import { readSettings } from "../settings/settings.ts";
import type { Tensor } from "../core/tensor.ts";
import { combined, CompositeQuantizer } from "./composite.ts";
import { checkIndices } from "./index_range.ts";
import type { CompositeMethod } from "./method.ts";
import type { Assignment, Move, QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { codesInUse } from "./quantizer_dropout.ts";

/** The settings of a residual quantiser; `quantizerDefaults("residual")` gives the defaults. */
export interface ResidualSettings {
  /** The number of levels: codes per feature. */
  readonly depth: number;
  /** Whether all levels share one codebook. */
  readonly shared: boolean;
  /** The fraction of training steps that stop at a random level (quantiser dropout). */
  readonly dropout: number;
}

/** Options of the constructor. */
export interface ResidualOptions extends Partial<ResidualSettings> {
  /** Makes the quantiser of a level, with the random initial values of the given key. */
  readonly inner: (key: RandomKey) => Quantizer;
  /** Key for the random initial values. */
  readonly key: RandomKey;
}

/** Quantises a feature, then the residual, and so on. K codes at depth d can express Kᵈ combinations.
 *
 * Source: arXiv 2203.01941, section 3.1; quantiser dropout after arXiv 2107.03312, section III.C.
 *
 *     r₁ = z    k_d = the code of r_d    r_{d+1} = r_d − sg(e_{k_d})    ẑ = Σ_d e_{k_d}
 *     loss = mean over d of the inner quantiser's losses at r_d
 *
 * With a commitment loss at every level, this is β·mean_d ‖z − sg(Σ_{j≤d} e_{k_j})‖², as in the paper. The gradient of
 * ẑ is the mean of the gradients of the levels; with straight-through levels it is unchanged. A shared inner quantiser
 * learns from the residuals of all levels at once.
 *
 * Indices are int32 `[..., depth]`; a step that stops early has fewer. `lookup` also accepts only the first few levels,
 * as a coarser code. The cost per feature is `depth` times that of the inner quantiser.
 *
 * ```ts
 * import { openDevice, randomKey, ResidualQuantizer, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const quantizer = new ResidualQuantizer({
 *   inner: (key) => new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key }),
 *   depth: 3,
 *   key,
 * });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { quantized, indices } = quantizer.quantize(features, { training: false, key });
 * assert.deepEqual(indices.shape, [2, 3]);
 * assert.deepEqual(await quantizer.lookup(indices).floats(), await quantized.floats());
 * ```
 */
export class ResidualQuantizer extends CompositeQuantizer {
  /** D. */
  readonly codebookDim: number;
  readonly #settings: ResidualSettings;

  /** Makes the inner quantisers; only one if it is shared.
   * @throws {RangeError} a setting is unknown or has a value that is not allowed
   */
  constructor({ inner, key, ...options }: ResidualOptions) {
    const settings = readSettings(residualMethod.schema, options, "make a residual quantizer");
    super({ inner, count: settings.depth, shared: settings.shared, key });
    this.codebookDim = this.parts[0].codebookDim;
    this.#settings = settings;
  }

  /** Calls `begin` of the inner quantisers with the residuals, one level after another. */
  override begin(features: Tensor, context: QuantizeContext): void {
    if (!this.awaitsBatch) return;
    withoutGradients(() => {
      using _scope = features.device.scope();
      let rest = features;
      for (let level = 0; level < this.#levelsOf(context); level++) {
        this.beginPart(this.#partOf(level), rest, context, level);
        rest = sub(rest, this.quantizePart(this.#partOf(level), rest, context, level).quantized);
      }
    });
  }

  /** The residual of every level, in the form that its inner quantiser compares with its codes: float32 `[..., levels,
   * D']`. Takes as long as `quantize`. */
  override compared(features: Tensor, context: QuantizeContext): Tensor {
    const levels: Tensor[] = [];
    let rest = features;
    for (let level = 0; level < this.#levelsOf(context); level++) {
      const part = this.#partOf(level);
      if (level > 0) {
        const before = this.#partOf(level - 1);
        rest = sub(rest, detach(this.quantizePart(before, rest, context, level - 1).quantized));
      }
      levels.push(this.comparedPart(part, rest, context));
    }
    return stackAt(levels, features.shape.length - 1);
  }

  /** Losses: those of the inner quantiser, averaged over the levels.
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const levels: Quantized[] = [];
    let rest = features;
    for (let level = 0; level < this.#levelsOf(context); level++) {
      const given = this.quantizePart(this.#partOf(level), rest, context, level);
      rest = sub(rest, detach(given.quantized));
      levels.push(given);
    }
    const total = levels.map(({ quantized }) => quantized).reduce(add);
    const at = features.shape.length - 1;
    return {
      ...combined(levels),
      quantized: straightThrough(mul(total, 1 / levels.length), total),
      indices: stackAt(levels.map(({ indices }) => indices), at),
      nonFinite: levels[0].nonFinite,
    };
  }

  /** int32 `[..., levels]`, at most the depth → float32 `[..., D]`. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    return this.#split(indices)
      .map((own, level) => this.lookupPart(this.#partOf(level), own))
      .reduce(add);
  }

  /** Updates the inner quantisers with the residuals. */
  override update(assignment: Assignment, context: QuantizeContext): readonly Move[] {
    return withoutGradients(() => {
      const { indices, usage } = assignment;
      const own = this.#split(indices);
      const residuals: Tensor[] = [assignment.features];
      own.slice(0, -1).forEach((chosen, level) =>
        residuals.push(sub(residuals[level], this.lookupPart(this.#partOf(level), chosen)))
      );
      if (this.#settings.shared) {
        const features = stackAt(residuals, residuals[0].shape.length - 1);
        return this.updatePart(0, { features, indices, usage }, context);
      }
      return residuals.flatMap((features, level) =>
        this.updatePart(level, { features, indices: own[level], usage }, context)
      );
    });
  }

  #partOf(level: number): number {
    return this.#settings.shared ? 0 : level;
  }

  /** How many levels this step uses. */
  #levelsOf(context: QuantizeContext): number {
    return codesInUse(context, this.#settings.depth, this.#settings.dropout);
  }

  /** The indices of each level. */
  #split(indices: Tensor): Tensor[] {
    const at = indices.shape.length - this.codeAxes.length;
    const starts = indices.shape.map(() => 0);
    return Array.from({ length: indices.shape[at] }, (_, level) => {
      const part = slice(indices, starts.with(at, level), indices.shape.with(at, 1));
      return reshape(part, indices.shape.filter((_, axis) => axis !== at));
    });
  }
}

/** Stacks tensors of the same shape along a new axis. */
function stackAt(parts: readonly Tensor[], axis: number): Tensor {
  const [first, ...rest] = parts.map((part) =>
    reshape(part, [...part.shape.slice(0, axis), 1, ...part.shape.slice(axis)])
  );
  return concatenate([first, ...rest], axis);
}

/** `residual` in the registry. */
export const residualMethod: CompositeMethod<ResidualSettings> = {
  layout: "several",
  schema: z.strictObject({
    depth: z.int().min(1).default(4).describe("the number of levels: codes per feature"),
    shared: z.boolean().default(true).describe("whether all levels share one codebook"),
    dropout: z.number().min(0).max(1).default(0)
      .describe("the fraction of training steps that stop at a random level (quantiser dropout)"),
  }),
  makeOf: (_device, inner, settings, key) => new ResidualQuantizer({ ...settings, inner, key }),
};
