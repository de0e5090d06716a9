/** Inception v3 (Szegedy et al. 2015, arXiv 1512.00567) in the form that FID expects: the network of 2015-12-05. Its
 * average pools ignore padding, and its last block uses max pooling.
 */
import { maxPool } from "../../core/functions/movement.ts";
import { matmul } from "../../core/functions/products.ts";
import { mean } from "../../core/functions/reductions.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Activation, type Layer, Module, Sequential } from "../../nn/module.ts";
import { averagePoolWithin, maxPool3, normalizedConvolution, Parallel } from "./layers.ts";
import { resizeBilinear } from "./resize.ts";
import type { Weights } from "./weights.ts";

/** The side length of the training images. */
const SIDE = 299;
/** ε of the batch normalisation. */
const EPSILON = 0.001;
const FEATURES = 2048, CLASSES = 1008;

/** One convolution of a branch: name, channels, kernel; padded to keep the size unless it has a stride. */
type Step = readonly [name: string, outputs: number, height: number, width: number, stride?: 2];

/** Builds the parts of one block. */
class BlockBuilder {
  constructor(
    readonly device: Device,
    readonly weights: Weights,
    readonly name: string,
    readonly inputs: number,
  ) {}

  /** A sequence of convolutions. */
  chain(steps: readonly Step[], inputs = this.inputs): Layer {
    let channels = inputs;
    return new Sequential(steps.map(([step, outputs, height, width, stride]) => {
      const padding = stride === undefined
        ? [(height - 1) / 2, (width - 1) / 2] as const
        : undefined;
      const options = {
        inputs: channels,
        outputs,
        size: [height, width],
        stride,
        padding,
      } as const;
      channels = outputs;
      const name = `${this.name}.${step}`;
      return normalizedConvolution(this.device, this.weights, name, options, EPSILON);
    }));
  }

  /** A pool, then a 1×1 convolution. */
  pooled(pool: (x: Tensor) => Tensor, outputs: number): Layer {
    return new Sequential([new Activation(pool), this.chain([["branch_pool", outputs, 1, 1]])]);
  }

  /** A sequence of convolutions, then two in parallel. */
  forked(steps: readonly Step[], left: Step, right: Step): Layer {
    const [, channels] = steps[steps.length - 1];
    const fork = new Parallel([this.chain([left], channels), this.chain([right], channels)]);
    return new Sequential([this.chain(steps), fork]);
  }
}

/** Figure 5 of the paper. */
function blockA(block: BlockBuilder, pool: number): Layer {
  return new Parallel([
    block.chain([["branch1x1", 64, 1, 1]]),
    block.chain([["branch5x5_1", 48, 1, 1], ["branch5x5_2", 64, 5, 5]]),
    block.chain([
      ["branch3x3dbl_1", 64, 1, 1],
      ["branch3x3dbl_2", 96, 3, 3],
      ["branch3x3dbl_3", 96, 3, 3],
    ]),
    block.pooled(averagePoolWithin, pool),
  ]);
}

/** Halves the size. */
function blockB(block: BlockBuilder): Layer {
  return new Parallel([
    block.chain([["branch3x3", 384, 3, 3, 2]]),
    block.chain([
      ["branch3x3dbl_1", 64, 1, 1],
      ["branch3x3dbl_2", 96, 3, 3],
      ["branch3x3dbl_3", 96, 3, 3, 2],
    ]),
    new Activation(maxPool3),
  ]);
}

/** Figure 6: 7×7 kernels factorised into rows and columns. */
function blockC(block: BlockBuilder, width: number): Layer {
  return new Parallel([
    block.chain([["branch1x1", 192, 1, 1]]),
    block.chain([
      ["branch7x7_1", width, 1, 1],
      ["branch7x7_2", width, 1, 7],
      ["branch7x7_3", 192, 7, 1],
    ]),
    block.chain([
      ["branch7x7dbl_1", width, 1, 1],
      ["branch7x7dbl_2", width, 7, 1],
      ["branch7x7dbl_3", width, 1, 7],
      ["branch7x7dbl_4", width, 7, 1],
      ["branch7x7dbl_5", 192, 1, 7],
    ]),
    block.pooled(averagePoolWithin, 192),
  ]);
}

/** Halves the size. */
function blockD(block: BlockBuilder): Layer {
  return new Parallel([
    block.chain([["branch3x3_1", 192, 1, 1], ["branch3x3_2", 320, 3, 3, 2]]),
    block.chain([
      ["branch7x7x3_1", 192, 1, 1],
      ["branch7x7x3_2", 192, 1, 7],
      ["branch7x7x3_3", 192, 7, 1],
      ["branch7x7x3_4", 192, 3, 3, 2],
    ]),
    new Activation(maxPool3),
  ]);
}

/** Figure 7. */
function blockE(block: BlockBuilder, pool: (x: Tensor) => Tensor): Layer {
  return new Parallel([
    block.chain([["branch1x1", 320, 1, 1]]),
    block.forked(
      [["branch3x3_1", 384, 1, 1]],
      ["branch3x3_2a", 384, 1, 3],
      ["branch3x3_2b", 384, 3, 1],
    ),
    block.forked(
      [["branch3x3dbl_1", 448, 1, 1], ["branch3x3dbl_2", 384, 3, 3]],
      ["branch3x3dbl_3a", 384, 1, 3],
      ["branch3x3dbl_3b", 384, 3, 1],
    ),
    block.pooled(pool, 192),
  ]);
}

const greatestAround = (x: Tensor): Tensor => maxPool(x, 3, { stride: 1, padding: 1 });

/** The network's layers in order, each with its name in the weight file. */
function layersOf(device: Device, weights: Weights): readonly (readonly [string, Layer])[] {
  const stem = (
    name: string,
    [inputs, outputs]: readonly [number, number],
    size: number,
    { stride = 1, padding = 0 } = {},
  ): [string, Layer] => [
    name,
    normalizedConvolution(device, weights, name, {
      inputs,
      outputs,
      size: [size, size],
      stride,
      padding: [padding, padding],
    }, EPSILON),
  ];
  const block = (
    name: string,
    inputs: number,
    make: (builder: BlockBuilder) => Layer,
  ): [string, Layer] => [name, make(new BlockBuilder(device, weights, name, inputs))];
  return [
    stem("Conv2d_1a_3x3", [3, 32], 3, { stride: 2 }),
    stem("Conv2d_2a_3x3", [32, 32], 3),
    stem("Conv2d_2b_3x3", [32, 64], 3, { padding: 1 }),
    ["maxpool1", new Activation(maxPool3)],
    stem("Conv2d_3b_1x1", [64, 80], 1),
    stem("Conv2d_4a_3x3", [80, 192], 3),
    ["maxpool2", new Activation(maxPool3)],
    block("Mixed_5b", 192, (b) => blockA(b, 32)),
    block("Mixed_5c", 256, (b) => blockA(b, 64)),
    block("Mixed_5d", 288, (b) => blockA(b, 64)),
    block("Mixed_6a", 288, blockB),
    block("Mixed_6b", 768, (b) => blockC(b, 128)),
    block("Mixed_6c", 768, (b) => blockC(b, 160)),
    block("Mixed_6d", 768, (b) => blockC(b, 160)),
    block("Mixed_6e", 768, (b) => blockC(b, 192)),
    block("Mixed_7a", 768, blockD),
    block("Mixed_7b", 1280, (b) => blockE(b, averagePoolWithin)),
    block("Mixed_7c", 2048, (b) => blockE(b, greatestAround)),
  ];
}

/** The network up to its features, and its classifier. Weights have pytorch-fid's names. */
export class InceptionV3 extends Module {
  /** The number of features per image. */
  static readonly features: number = FEATURES;
  /** The layers by name, in order. */
  readonly layers: ReadonlyMap<string, Layer>;
  /** `[2048, 1008]`: maps features to logits of the classes. */
  readonly classifier: Tensor;

  /** Loads the weights. */
  constructor(device: Device, weights: Weights) {
    super();
    this.layers = new Map(layersOf(device, weights));
    const rows = weights.values("fc.weight", [CLASSES, FEATURES]);
    const columns = new Float32Array(rows.length);
    rows.forEach((value, at) => {
      columns[at % FEATURES * CLASSES + Math.floor(at / FEATURES)] = value;
    });
    this.classifier = device.tensor(columns, [FEATURES, CLASSES]);
  }

  /** Images in [−1, 1], float32 `[B, H, W, 3]`, resized to 299×299 → features `[B, 2048]`. */
  forward(images: Tensor): Tensor {
    const resized = resizeBilinear(images, SIDE, SIDE);
    const maps = [...this.layers.values()].reduce((x, layer) => layer.forward(x), resized);
    return mean(maps, [1, 2]);
  }

  /** Features `[B, 2048]` → the logits of 1,008 classes `[B, 1008]`, without the classifier's bias, as in the Inception
   * Score. */
  logits(features: Tensor): Tensor {
    return matmul(features, this.classifier);
  }
}
