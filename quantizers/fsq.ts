/** Finite scalar quantisation (arXiv 2309.15505). */
import * as z from "zod";
import { straightThrough } from "../core/execute.ts";
import { add, cast, greaterEqual, mul, sub, tanh } from "../core/functions/elementwise.ts";
import { segmentCount } from "../core/functions/indexing.ts";
import { reshape, toRows } from "../core/functions/movement.ts";
import { readSettings } from "../settings/settings.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { channelRow, digitsToIndices, indicesToDigits, LARGEST_GRID } from "./mixed_radix.ts";
import { countNonFinite, markRows, sortFeatures } from "./finite_features.ts";
import { checkIndices } from "./index_range.ts";
import { maskFeatures, maskIndices } from "./masks.ts";
import type { QuantizerMethod } from "./method.ts";
import { type QuantizeContext, type Quantized, Quantizer } from "./quantizer.ts";

/** The settings of a finite scalar quantiser; `quantizerDefaults("fsq")` gives the defaults. */
export interface FSQSettings {
  /** L: the number of levels of each channel. D is the number of entries, K their product. */
  readonly levels: readonly number[];
}

/** ε of the bound: keeps the outermost levels from being cut off by rounding. */
const EPSILON = 1e-3;

/** Rounds each channel to one of `levels[i]` values. The codebook is the grid of these values: nothing is learned, no
 * code can die, and the only loss is the reconstruction loss.
 *
 * Source: arXiv 2309.15505, App. A.1, without changes.
 *
 *     hᵢ = (Lᵢ − 1)(1 − ε)/2    oᵢ = ½ where Lᵢ is even, else 0    ε = 1e−3
 *     bound(z)ᵢ = hᵢ·tanh(zᵢ + tan(oᵢ/hᵢ)) − oᵢ
 *     ẑᵢ = round(bound(z)ᵢ) / ⌊Lᵢ/2⌋, straight-through
 *     index = Σᵢ (round(bound(z)ᵢ) + ⌊Lᵢ/2⌋)·∏_{j<i} Lⱼ
 *
 * The cost per feature is O(D), for any K.
 *
 * ```ts
 * import { FSQQuantizer, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const quantizer = new FSQQuantizer(device, { levels: [5, 3] });
 * assert.deepEqual([quantizer.codebookSize, quantizer.codebookDim], [15, 2]);
 * const features = device.tensor([0.4, -9], [1, 2]);
 * const context = { training: false, key: randomKey(1, "quantizer") };
 * const { quantized, indices } = quantizer.quantize(features, context);
 * assert.deepEqual([...await quantized.floats()], [0.5, -1]);
 * assert.equal(await indices.item(), 3);
 * ```
 */
export class FSQQuantizer extends Quantizer {
  /** K = ∏levels. */
  readonly codebookSize: number;
  /** D, the number of levels. */
  readonly codebookDim: number;
  readonly #device: Device;
  readonly #levels: readonly number[];

  /** Makes the quantiser. The grid itself is not stored.
   * @throws {RangeError} a level is not an integer of at least 2, or there are more than 2^20 codes
   */
  constructor(device: Device, options: Partial<FSQSettings> = {}) {
    super();
    const action = "make a finite scalar quantizer";
    const { levels } = readSettings(fsqMethod.schema, options, action);
    this.codebookDim = levels.length;
    this.codebookSize = levels.reduce((product, level) => product * level, 1);
    if (this.codebookSize > LARGEST_GRID) {
      throw new RangeError(
        `Cannot ${action}: the product of the levels must be at most ${LARGEST_GRID}, got ${this.codebookSize}`,
      );
    }
    this.#device = device;
    this.#levels = levels;
  }

  /** No losses.
   * @param features float32 `[..., D]`, unbounded
   * @returns quantized `[..., D]` in [−1, 1]; indices int32 `[...]` in [0, ∏levels)
   * @throws {TypeError} the last axis is not D
   */
  quantize(features: Tensor, { mask }: QuantizeContext): Quantized {
    const { values, finite, present } = sortFeatures(features, mask);
    const rows = toRows(markRows(values, finite), this.codebookDim, "quantize");
    const bounded = this.#bound(rows);
    const lowest = this.#row((level) => Math.floor(level / 2) + 0.5); // So that truncating rounds.
    const digits = cast(cast(add(bounded, lowest), "int32"), "float32");
    const all = reshape(digitsToIndices(digits, this.#levels), features.shape.slice(0, -1));
    const indices = maskIndices(all, present);
    const scaled = mul(bounded, this.#row((level) => 1 / Math.floor(level / 2)));
    const codes = reshape(straightThrough(scaled, this.#codes(digits)), features.shape);
    return {
      quantized: markRows(maskFeatures(codes, mask), finite),
      indices,
      losses: {},
      usage: segmentCount(indices, this.codebookSize),
      nonFinite: countNonFinite(finite),
    };
  }

  /** int32 `[...]` → float32 `[..., D]`; zeros for −1. */
  lookup(indices: Tensor): Tensor {
    checkIndices(indices, this.codebookSize);
    const codes = this.#codes(indicesToDigits(indices, this.#levels));
    return maskFeatures(codes, greaterEqual(indices, 0));
  }

  #bound(features: Tensor): Tensor {
    const half = (level: number) => (level - 1) * (1 - EPSILON) / 2;
    const offset = (level: number) => level % 2 === 0 ? 0.5 : 0;
    const shift = this.#row((level) => Math.tan(offset(level) / half(level)));
    return sub(mul(tanh(add(features, shift)), this.#row(half)), this.#row(offset));
  }

  #codes(digits: Tensor): Tensor {
    const half = (level: number) => Math.floor(level / 2);
    return mul(sub(digits, this.#row(half)), this.#row((level) => 1 / half(level)));
  }

  #row(value: (level: number) => number): Tensor {
    return channelRow(this.#device, this.#levels.map(value));
  }
}

/** `fsq` in the registry. */
export const fsqMethod: QuantizerMethod<FSQSettings> = {
  schema: z.strictObject({
    levels: z.array(z.int().min(2)).min(1).default([8, 5, 5, 5])
      .describe("L: the number of levels of each channel"),
  }),
  make: (device, settings) => new FSQQuantizer(device, settings),
};
