/** VGG16 (Simonyan and Zisserman 2015, arXiv 1409.1556, configuration D), up to its last convolution. */
import { maxPool } from "../../core/functions/movement.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Module } from "../../nn/module.ts";
import { convolution, type FrozenConvolution } from "./layers.ts";
import type { Weights } from "./weights.ts";

/** The channels of each stage's convolutions. Between stages there is 2×2 max pooling. */
const STAGES: readonly (readonly number[])[] = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/** The network's stages. Weights are named as torchvision's: `features.0.weight` and so on. */
export class Vgg16 extends Module {
  /** Channels of each stage's output. */
  static readonly channels: readonly number[] = STAGES.map((stage) => stage[stage.length - 1]);
  /** The convolutions by stage. */
  readonly stages: readonly (readonly FrozenConvolution[])[];

  /** Loads the weights. */
  constructor(device: Device, weights: Weights) {
    super();
    let inputs = 3, index = 0;
    this.stages = STAGES.map((stage) => {
      const layers = stage.map((outputs) => {
        const geometry = { inputs, outputs, size: [3, 3], padding: [1, 1] } as const;
        const layer = convolution(device, weights, `features.${index}`, geometry);
        inputs = outputs;
        index += 2; // A convolution and its relu.
        return layer;
      });
      index++; // The pooling.
      return layers;
    });
  }

  /** float32 `[B, H, W, 3]` → the output of each stage's last relu, `[B, H/2ⁱ, W/2ⁱ, channels]`.
   * @throws {TypeError} a side is under 16
   */
  forward(images: Tensor): readonly Tensor[] {
    let x = images;
    return this.stages.map((stage, index) => {
      const start = index === 0 ? x : maxPool(x, 2);
      return x = stage.reduce((value, layer) => layer.forward(value), start);
    });
  }
}
