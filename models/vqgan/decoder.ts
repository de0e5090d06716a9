/** The decoder of a VQGAN. */
import { upsampleNearest } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Conv2d } from "../../nn/convolution.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Layer } from "../../nn/module.ts";
import { type BlockOptions, contextOf, conv3, Level, Middle } from "./blocks.ts";
import type { SideOptions } from "./encoder.ts";
import type { Norm } from "./norms.ts";

/** The blocks of a resolution, and the upsampling to the next finer one. */
class UpLevel extends Level {
  /** The convolution after the side is doubled; `undefined` at the finest level. */
  readonly upsample: Conv2d | undefined;

  constructor(
    device: Device,
    shape: ConstructorParameters<typeof Level>[1] & { readonly isFinest: boolean },
    options: BlockOptions,
    key: RandomKey,
  ) {
    super(device, shape, options, partKey(key, 0));
    const { outputs, isFinest } = shape;
    this.upsample = isFinest ? undefined : conv3(device, outputs, outputs, partKey(key, 1));
  }

  override forward(x: Tensor, context?: Context, codes?: Tensor): Tensor {
    const result = super.forward(x, context, codes);
    return this.upsample?.forward(upsampleNearest(result, 2)) ?? result;
  }
}

/** Maps features to images: a convolution; residual, attention, residual; levels of residual blocks (and attention)
 * from the coarsest to the finest, each but the last doubling the side; then a norm and a convolution. */
export class VQGANDecoder extends Layer {
  /** The first convolution, of the features. */
  readonly convIn: Conv2d;
  /** The blocks at the lowest resolution. */
  readonly mid: Middle;
  /** The levels, the finest first. They run from the last to the first. */
  readonly up: readonly UpLevel[];
  /** The norm before the last convolution. */
  readonly normOut: Norm;
  /** The last convolution, to the images. */
  readonly convOut: Conv2d;

  /** Makes the decoder. */
  constructor(device: Device, options: SideOptions) {
    super();
    const { levels, channels, numResBlocks, zChannels, norm, key } = options;
    const [inKey, midKey, upKey, normKey, outKey] = [0, 1, 2, 3, 4].map((part) =>
      partKey(key, part)
    );
    const widths = levels.map(({ width }) => width), coarsest = widths[widths.length - 1];
    this.convIn = conv3(device, zChannels, coarsest, inKey);
    this.mid = new Middle(device, coarsest, options, midKey);
    this.up = levels.map(({ width: outputs, attends }, level) => {
      const inputs = widths[level + 1] ?? coarsest;
      const shape = { inputs, outputs, count: numResBlocks + 1, attends, isFinest: level === 0 };
      return new UpLevel(device, shape, options, partKey(upKey, level));
    });
    this.normOut = norm(widths[0], true, normKey);
    this.convOut = conv3(device, widths[0], channels, outKey);
  }

  /** `[B, h, w, zChannels]` → `[B, H, W, channels]`.
   * @param codes `[B, h, w, D]`, for norms that use them
   */
  forward(features: Tensor, context?: Context, codes?: Tensor): Tensor {
    const lowest = this.convIn.forward(features);
    const middle = this.mid.forward(lowest, contextOf(context, this.up.length), codes);
    const finest = this.up.reduceRight(
      (x, level, index) => level.forward(x, contextOf(context, index), codes),
      middle,
    );
    return this.convOut.forward(this.normOut.forward(finest, context, codes));
  }
}
