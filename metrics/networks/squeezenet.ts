/** SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360), up to its last fire module. */
import type { Device, Tensor } from "../../core/tensor.ts";
import { type Layer, Module, Sequential } from "../../nn/module.ts";
import { convolution, maxPool3, Parallel } from "./layers.ts";
import type { Weights } from "./weights.ts";

/** A fire module: its position in torchvision's `features`, the squeeze channels, and the expand channels of each
 * half. */
interface Fire {
  readonly index: number;
  readonly squeeze: number;
  readonly expand: number;
}

const STEM = 64;
/** The fire modules of each stage, and whether 3×3 max pooling comes before them. */
const STAGES: readonly (readonly [pooled: boolean, fires: readonly Fire[]])[] = [
  [true, [{ index: 3, squeeze: 16, expand: 64 }, { index: 4, squeeze: 16, expand: 64 }]],
  [true, [{ index: 6, squeeze: 32, expand: 128 }, { index: 7, squeeze: 32, expand: 128 }]],
  [true, [{ index: 9, squeeze: 48, expand: 192 }]],
  [false, [{ index: 10, squeeze: 48, expand: 192 }]],
  [false, [{ index: 11, squeeze: 64, expand: 256 }]],
  [false, [{ index: 12, squeeze: 64, expand: 256 }]],
];

/** The network's first convolution and its fire modules. Weights are named as torchvision's: `features.0.weight`,
 * `features.3.squeeze.weight` and so on. */
export class SqueezeNet extends Module {
  /** Channels of each stage's output. */
  static readonly channels: readonly number[] = [
    STEM,
    ...STAGES.map(([, fires]) => 2 * fires[fires.length - 1].expand),
  ];
  /** The first convolution. */
  readonly stem: Layer;
  /** The fire modules by stage. */
  readonly stages: readonly Layer[];

  /** Loads the weights. */
  constructor(device: Device, weights: Weights) {
    super();
    const geometry = { inputs: 3, outputs: STEM, size: [3, 3], stride: 2 } as const;
    this.stem = convolution(device, weights, "features.0", geometry);
    let channels = STEM;
    this.stages = STAGES.map(([, fires]) =>
      new Sequential(fires.map(({ index, squeeze, expand }) => {
        const name = `features.${index}`, inputs = channels;
        channels = 2 * expand;
        const one = [1, 1] as const, three = [3, 3] as const;
        const part = (at: string, options: Parameters<typeof convolution>[3]) =>
          convolution(device, weights, `${name}.${at}`, options);
        return new Sequential([
          part("squeeze", { inputs, outputs: squeeze, size: one }),
          new Parallel([
            part("expand1x1", { inputs: squeeze, outputs: expand, size: one }),
            part("expand3x3", { inputs: squeeze, outputs: expand, size: three, padding: one }),
          ]),
        ]);
      }))
    );
  }

  /** float32 `[B, H, W, 3]` → the outputs of the first relu and of each stage, seven in all.
   * @throws {TypeError} a side is under 17
   */
  forward(images: Tensor): readonly Tensor[] {
    const first = this.stem.forward(images);
    let x = first;
    const outputs = this.stages.map((stage, at) =>
      x = stage.forward(STAGES[at][0] ? maxPool3(x, { ceil: true }) : x)
    );
    return [first, ...outputs];
  }
}
