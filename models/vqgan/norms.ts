/** The norms of a VQGAN's blocks: group norms, and group norms modulated by the codes. */
import { add, mul, silu } from "../../core/functions/elementwise.ts";
import { upsampleNearest } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import { showShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Layer, type Module } from "../../nn/module.ts";
import { GroupNorm } from "../../nn/normalization.ts";

/** Normalises a feature map: `[B, H, W, C]` → the same shape. */
export interface Norm extends Module {
  /** @param codes `[B, h, w, D]`: the codes that the features come from, for a norm that uses them */
  forward(x: Tensor, context?: Context, codes?: Tensor): Tensor;
}

/** Makes a norm for a number of channels, followed by SiLU if `silu` is true. */
export type MakeNorm = (channels: number, silu: boolean, key: RandomKey) => Norm;

/** Added to the variance. */
const EPSILON = 1e-6;

/** Group norms with SiLU in the same operation. */
export function groupNorms(device: Device, groups: number): MakeNorm {
  return (channels, silu) => new GroupNorm(device, groups, channels, EPSILON, silu);
}

/** Spatially modulated norms for codes of length `codebookDim`. */
export function spatialNorms(device: Device, groups: number, codebookDim: number): MakeNorm {
  return (channels, silu, key) =>
    new SpatialNorm(device, { groups, channels, codebookDim, silu, key });
}

/** Options of the constructor. */
export interface SpatialNormOptions {
  /** Groups of neighbouring channels. */
  readonly groups: number;
  /** Channels of the features. */
  readonly channels: number;
  /** D: the length of a code. */
  readonly codebookDim: number;
  /** Whether SiLU is applied to the result. */
  readonly silu: boolean;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** A group norm whose scale and shift at each position are linear in the code at that position (MoVQ, arXiv 2209.09002,
 * eq. 4):
 *
 *     y = norm(x)·γ(codes) + β(codes)
 *
 * γ and β are 1×1 convolutions. Their outputs are upsampled to the size of the features by repeating pixels. Upsampling
 * the codes first would give the same result.
 */
export class SpatialNorm extends Layer {
  /** The group norm, with its own scale and shift. */
  readonly norm: GroupNorm;
  /** γ. */
  readonly scale: Conv2d;
  /** β. */
  readonly shift: Conv2d;
  readonly #silu: boolean;

  /** Makes the norm and both convolutions.
   * @throws {RangeError} the groups do not divide the channels
   */
  constructor(device: Device, { groups, channels, codebookDim, ...rest }: SpatialNormOptions) {
    super();
    const [scaleKey, shiftKey] = [0, 1].map((part) => partKey(rest.key, part));
    this.norm = new GroupNorm(device, groups, channels, EPSILON);
    this.scale = new Conv2d(device, codebookDim, channels, { key: scaleKey, kernelSize: 1 });
    this.shift = new Conv2d(device, codebookDim, channels, { key: shiftKey, kernelSize: 1 });
    this.#silu = rest.silu;
  }

  /** `[B, H, W, channels]`, with codes `[B, h, w, D]` where h divides H and w divides W → the same shape.
   * @throws {TypeError} there are no codes, or their grid does not divide the features'
   */
  forward(x: Tensor, _context?: Context, codes?: Tensor): Tensor {
    const [height, width] = [1, 2].map((axis) => x.shape[axis] / (codes?.shape[axis] ?? NaN));
    if (codes === undefined || !Number.isInteger(height) || !Number.isInteger(width)) {
      throw new TypeError(
        `Cannot modulate a norm: the codes' grid must divide that of the features ${
          showShape(x.shape)
        }, got ${codes === undefined ? "no codes" : `shape ${showShape(codes.shape)}`}`,
      );
    }
    const spread = (map: Tensor) => upsampleNearest(map, [height, width]);
    const scaled = mul(this.norm.forward(x), spread(this.scale.forward(codes)));
    using shift = spread(this.shift.forward(codes));
    const modulated = add(scaled, shift);
    return this.#silu ? silu(modulated) : modulated;
  }
}
