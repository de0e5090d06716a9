/** Learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924). */
import { add, div, mul, sqrt, square, sub } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import { matmul } from "../core/functions/products.ts";
import { mean, sum } from "../core/functions/reductions.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Module } from "../nn/module.ts";
import { AlexNet } from "./networks/alexnet.ts";
import { toThreeChannels } from "./networks/layers.ts";
import { SqueezeNet } from "./networks/squeezenet.ts";
import { Vgg16 } from "./networks/vgg16.ts";
import { BLANK_WEIGHTS, loadWeights, type WeightFile, type Weights } from "./networks/weights.ts";

/** The name of a network for LPIPS. */
export type LpipsNetwork = "vgg" | "alex" | "squeeze";

/** The networks that LPIPS can use. */
export const LPIPS_NETWORKS: readonly LpipsNetwork[] = ["vgg", "alex", "squeeze"];

/** A network that returns feature maps of several layers, the finest first. */
export type Backbone = Module & { forward(images: Tensor): readonly Tensor[] };

interface BackboneClass {
  readonly channels: readonly number[];
  new (device: Device, weights: Weights): Backbone;
}

const BACKBONES: Readonly<Record<LpipsNetwork, BackboneClass>> = {
  vgg: Vgg16,
  alex: AlexNet,
  squeeze: SqueezeNet,
};

/** The usual file names for each network: the weights trained on ImageNet, and LPIPS's own weights (version 0.1). */
export const LPIPS_FILES: Readonly<Record<LpipsNetwork, readonly [WeightFile, WeightFile]>> = {
  vgg: [
    { network: "VGG16", names: ["vgg16.safetensors", "vgg16-397923af.pth"] },
    { network: "LPIPS (VGG16)", names: ["lpips-vgg.safetensors", "lpips-vgg.pth", "vgg.pth"] },
  ],
  alex: [
    {
      network: "AlexNet",
      names: ["alexnet.safetensors", "alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth"],
    },
    { network: "LPIPS (AlexNet)", names: ["lpips-alex.safetensors", "lpips-alex.pth", "alex.pth"] },
  ],
  squeeze: [
    {
      network: "SqueezeNet 1.1",
      names: [
        "squeezenet1_1.safetensors",
        "squeezenet1_1-b8a52dc0.pth",
        "squeezenet1_1-f364aa15.pth",
      ],
    },
    {
      network: "LPIPS (SqueezeNet)",
      names: ["lpips-squeeze.safetensors", "lpips-squeeze.pth", "squeeze.pth"],
    },
  ],
};

/** What is subtracted from the networks' inputs in [−1, 1], and what they are then divided by: red, green, blue. */
const SHIFT = [-0.030, -0.088, -0.188], SCALE = [0.458, 0.448, 0.450];
/** Added to a length before dividing by it. Its square keeps the gradient of the length finite for zero vectors. */
const EPSILON = 1e-10;

/** LPIPS: the feature maps of two images are normalised to unit vectors at each pixel. Their squared differences are
 * weighted by channel, averaged over the pixels and summed over the layers (eq. 1). It is differentiable with respect
 * to both images; the weights are fixed.
 */
export class Lpips extends Module {
  /** The network. */
  readonly backbone: Backbone;
  /** Each layer's weights by channel, `[channels, 1]`. */
  readonly linear: readonly Tensor[];
  /** `[3]`. */
  readonly shift: Tensor;
  /** `[3]`. */
  readonly scale: Tensor;
  /** The hash of the weights. */
  readonly hash: string;

  /** Loads both files of weights: the network's, and LPIPS's own (`lin0.model.1.weight` and so on). */
  constructor(device: Device, network: LpipsNetwork, backbone: Weights, linear: Weights) {
    super();
    const Backbone = BACKBONES[network];
    this.backbone = new Backbone(device, backbone);
    this.linear = Backbone.channels.map((channels, layer) => {
      const values = linear.values(`lin${layer}.model.1.weight`, [1, channels, 1, 1]);
      return device.tensor(Float32Array.from(values), [channels, 1]);
    });
    this.shift = device.tensor(SHIFT, [3]);
    this.scale = device.tensor(SCALE, [3]);
    this.hash = `${backbone.hash}+${linear.hash}`;
  }

  /** Loads LPIPS from a folder of weight files; see `LPIPS_FILES` for their names.
   * @throws {Error} the folder lacks a file
   * @throws {RangeError} a file is damaged or belongs to another network
   */
  static async load(device: Device, network: LpipsNetwork, folder: string): Promise<Lpips> {
    const [backbone, linear] = await Promise.all(
      LPIPS_FILES[network].map((file) => loadWeights(folder, file)),
    );
    return new Lpips(device, network, backbone, linear);
  }

  /** LPIPS with zeros as weights, which needs no files: for measuring its memory. */
  static blank(device: Device, network: LpipsNetwork): Lpips {
    return new Lpips(device, network, BLANK_WEIGHTS, BLANK_WEIGHTS);
  }

  /** The distance of each pair: two float32 `[B, H, W, 3]` (or grey) in [−1, 1] → `[B]`, at least 0.
   * @throws {TypeError} the shapes differ, or the images are too small for the network
   */
  forward(a: Tensor, b: Tensor): Tensor {
    if (!sameShape(a.shape, b.shape)) {
      throw new TypeError(
        `Cannot measure LPIPS: both must have the same shape [B, H, W, C], got ${
          showShape(a.shape)
        } and ${showShape(b.shape)}`,
      );
    }
    const [mapsA, mapsB] = [a, b].map((images) => this.backbone.forward(this.#prepare(images)));
    return this.linear.map((weights, layer) => {
      const difference = square(sub(toUnit(mapsA[layer]), toUnit(mapsB[layer])));
      const [batch, height, width, channels] = difference.shape;
      const pixels = matmul(reshape(difference, [batch * height * width, channels]), weights);
      return mean(reshape(pixels, [batch, height * width]), 1);
    }).reduce(add);
  }

  #prepare(images: Tensor): Tensor {
    return div(sub(toThreeChannels(images, "measure LPIPS"), this.shift), this.scale);
  }
}

/** Each pixel's features divided by their length. */
function toUnit(maps: Tensor): Tensor {
  const squares = sum(mul(maps, maps), -1, { keepAxes: true });
  return div(maps, add(sqrt(add(squares, EPSILON * EPSILON)), EPSILON));
}
