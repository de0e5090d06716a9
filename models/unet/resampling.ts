/** The downsampling and upsampling layers between the resolutions of a U-Net. */
import { upsampleNearest } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { UNetPart } from "./part.ts";

/** A 3×3 convolution with stride 2: `[B, H, W, C]` → `[B, ⌈H/2⌉, ⌈W/2⌉, C]`. */
export class Downsample extends UNetPart {
  /** The convolution. */
  readonly conv: Conv2d;

  /** Makes the convolution. */
  constructor(device: Device, channels: number, key: RandomKey) {
    super();
    const options = { key, kernelSize: 3, stride: 2, padding: 1 };
    this.conv = new Conv2d(device, channels, channels, options);
  }

  forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }
}

/** Doubles both sides by repeating pixels, then applies a 3×3 convolution: `[B, H, W, C]` → `[B, 2H, 2W, C]`. */
export class Upsample extends UNetPart {
  /** The convolution. */
  readonly conv: Conv2d;

  /** Makes the convolution. */
  constructor(device: Device, channels: number, key: RandomKey) {
    super();
    this.conv = new Conv2d(device, channels, channels, { key, kernelSize: 3, padding: 1 });
  }

  forward(x: Tensor): Tensor {
    return this.conv.forward(upsampleNearest(x, 2));
  }
}
