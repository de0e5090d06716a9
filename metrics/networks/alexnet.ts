/** AlexNet in the form of Krizhevsky 2014 (arXiv 1404.5997), up to its last convolution. */
import type { Device, Tensor } from "../../core/tensor.ts";
import { Module } from "../../nn/module.ts";
import { convolution, type FrozenConvolution, maxPool3 } from "./layers.ts";
import type { Weights } from "./weights.ts";

interface Stage {
  readonly index: number;
  readonly outputs: number;
  readonly size: number;
  readonly stride?: number;
  readonly padding: number;
  readonly pooled: boolean;
}

/** The convolutions with their positions in torchvision's `features`, and whether the input is pooled first. */
const STAGES: readonly Stage[] = [
  { index: 0, outputs: 64, size: 11, stride: 4, padding: 2, pooled: false },
  { index: 3, outputs: 192, size: 5, padding: 2, pooled: true },
  { index: 6, outputs: 384, size: 3, padding: 1, pooled: true },
  { index: 8, outputs: 256, size: 3, padding: 1, pooled: false },
  { index: 10, outputs: 256, size: 3, padding: 1, pooled: false },
];

/** The network's convolutions. Weights are named as torchvision's: `features.0.weight` and so on. */
export class AlexNet extends Module {
  /** Channels of each convolution's output. */
  static readonly channels: readonly number[] = STAGES.map(({ outputs }) => outputs);
  /** The convolutions. */
  readonly convolutions: readonly FrozenConvolution[];

  /** Loads the weights. */
  constructor(device: Device, weights: Weights) {
    super();
    this.convolutions = STAGES.map(({ index, outputs, size, stride, padding }, at) =>
      convolution(device, weights, `features.${index}`, {
        inputs: at === 0 ? 3 : STAGES[at - 1].outputs,
        outputs,
        size: [size, size],
        stride,
        padding: [padding, padding],
      })
    );
  }

  /** float32 `[B, H, W, 3]` → the output of each convolution after relu.
   * @throws {TypeError} a side is under 31
   */
  forward(images: Tensor): readonly Tensor[] {
    let x = images;
    return this.convolutions.map((layer, at) =>
      x = layer.forward(STAGES[at].pooled ? maxPool3(x) : x)
    );
  }
}
