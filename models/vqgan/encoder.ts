/** The encoder of a VQGAN. */
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { partKey } from "../../nn/initializers.ts";
import { type Context, Layer } from "../../nn/module.ts";
import { type BlockOptions, contextOf, conv3, Level, Middle } from "./blocks.ts";
import type { LevelPlan } from "./levels.ts";
import type { Norm } from "./norms.ts";

/** Options of the encoder and the decoder. */
export interface SideOptions extends BlockOptions {
  /** The levels, the finest first. */
  readonly levels: readonly LevelPlan[];
  /** Channels of the images. */
  readonly channels: number;
  /** Channels of the first level's input. */
  readonly ch: number;
  /** Residual blocks per level. */
  readonly numResBlocks: number;
  /** Channels of the latent feature map. */
  readonly zChannels: number;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** The blocks of a resolution, and the downsampling to the next coarser one. */
class DownLevel extends Level {
  /** The convolution that halves the side; `undefined` at the coarsest level. */
  readonly downsample: Conv2d | undefined;

  constructor(
    device: Device,
    shape: ConstructorParameters<typeof Level>[1] & { readonly isLast: boolean },
    options: BlockOptions,
    key: RandomKey,
  ) {
    super(device, shape, options, partKey(key, 0));
    const { outputs, isLast } = shape;
    // Zero padding only at the bottom and the right.
    const halving = { kernelSize: 3, stride: 2, padding: 0, paddingAfter: 1 } as const;
    this.downsample = isLast
      ? undefined
      : new Conv2d(device, outputs, outputs, { key: partKey(key, 1), ...halving });
  }

  override forward(x: Tensor, context?: Context): Tensor {
    const result = super.forward(x, context);
    return this.downsample?.forward(result) ?? result;
  }
}

/** Maps images to features: levels of residual blocks (and attention), each but the last halving the side; then
 * residual, attention, residual; then a norm and a convolution. */
export class VQGANEncoder extends Layer {
  /** The first convolution, of the images. */
  readonly convIn: Conv2d;
  /** The levels, the finest first. */
  readonly down: readonly DownLevel[];
  /** The blocks at the lowest resolution. */
  readonly mid: Middle;
  /** The norm before the last convolution. */
  readonly normOut: Norm;
  /** The last convolution, to the features. */
  readonly convOut: Conv2d;

  /** Makes the encoder. */
  constructor(device: Device, options: SideOptions) {
    super();
    const { levels, channels, ch, numResBlocks, zChannels, norm, key } = options;
    const [inKey, downKey, midKey, normKey, outKey] = [0, 1, 2, 3, 4].map((part) =>
      partKey(key, part)
    );
    const last = levels.length - 1, { width } = levels[last];
    this.convIn = conv3(device, channels, ch, inKey);
    this.down = levels.map(({ width: outputs, attends }, level) => {
      const inputs = level === 0 ? ch : levels[level - 1].width;
      const shape = { inputs, outputs, count: numResBlocks, attends, isLast: level === last };
      return new DownLevel(device, shape, options, partKey(downKey, level));
    });
    this.mid = new Middle(device, width, options, midKey);
    this.normOut = norm(width, true, normKey);
    this.convOut = conv3(device, width, zChannels, outKey);
  }

  /** `[B, H, W, channels]` → `[B, h, w, zChannels]`. */
  forward(images: Tensor, context?: Context): Tensor {
    const lowest = this.down.reduce(
      (x, level, index) => level.forward(x, contextOf(context, index)),
      this.convIn.forward(images),
    );
    const middle = this.mid.forward(lowest, contextOf(context, this.down.length));
    return this.convOut.forward(this.normOut.forward(middle, context));
  }
}
