/** The first stage of VQGAN (Esser et al. 2021, arXiv 2012.09841), and those of the same form: LDM's, RQ-VAE's and
 * MoVQ's. */
import * as z from "zod";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { partKey } from "../../nn/initializers.ts";
import type { Context, Layer } from "../../nn/module.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { Autoencoder } from "../autoencoder.ts";
import type { ModelKind } from "../kind.ts";
import { contextOf } from "./blocks.ts";
import { VQGANDecoder } from "./decoder.ts";
import { VQGANEncoder } from "./encoder.ts";
import { type LevelSettings, planLevels } from "./levels.ts";
import { groupNorms, spatialNorms } from "./norms.ts";

/** The norms of a decoder: plain group norms, or group norms modulated by the codes (MoVQ). */
export type VQGANNorm = "group" | "spatial";

/** The settings of a VQGAN in a configuration. */
export interface VQGANSettings extends LevelSettings {
  /** Channels of the latent feature map, between the networks and the 1×1 convolutions around the quantiser; `null`: the
   * length of a code. */
  readonly zChannels: number | null;
  /** The dropout probability inside residual blocks in training. */
  readonly dropout: number;
  /** The decoder's norms. */
  readonly norm: VQGANNorm;
}

/** Options of the constructor. The defaults are those of the f16 model of FFHQ and ImageNet. */
export interface VQGANOptions extends Partial<VQGANSettings> {
  /** Channels of the images: 1 grey, 3 colour. */
  readonly channels: number;
  /** Whether to keep only the input and the output of each block and to recompute the rest in the backward pass. This
   * needs much less memory and a third more time, and gives the same gradients bit for bit. By default it is off. */
  readonly recompute?: boolean;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** The default settings. */
const DEFAULTS: VQGANSettings = {
  ch: 128,
  chMult: [1, 1, 2, 2, 4],
  numResBlocks: 2,
  resolution: 256,
  attnResolutions: [16],
  zChannels: null,
  dropout: 0,
  groups: 32,
  norm: "group",
};

/** An encoder and a decoder of residual and attention blocks, with 1×1 convolutions around the quantiser.
 *
 * It differs from the published code only in names. The sides of the images can be any multiple of the downsampling;
 * `resolution` only determines which levels have attention.
 *
 * ```ts
 * import { openDevice, randomKey, VanillaQuantizer, VQGAN } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "model");
 * const quantizer = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 4, key });
 * const model = new VQGAN(device, quantizer, {
 *   channels: 1,
 *   ch: 4,
 *   chMult: [1, 2],
 *   numResBlocks: 1,
 *   resolution: 8,
 *   attnResolutions: [4],
 *   groups: 2,
 *   key,
 * });
 * const images = device.tensor(new Float32Array(64), [1, 8, 8, 1]);
 * const { features, reconstruction } = model.forward(images, { training: false, key });
 * assert.deepEqual([features.shape, reconstruction.shape], [[1, 4, 4, 4], [1, 8, 8, 1]]);
 * ```
 */
export class VQGAN extends Autoencoder {
  /** How many times longer the side of an image is than the side of its latent grid: a factor of two for each level but
   * the first. */
  readonly downsampling: number;
  /** Channels of the images. */
  readonly channels: number;
  /** Images `[B, H, W, C]` → `[B, h, w, zChannels]`. */
  readonly encoder: Layer;
  /** A 1×1 convolution to the quantiser's features `[B, h, w, D]`. */
  readonly quantConv: Conv2d;
  /** Replaces features by codes. */
  readonly quantizer: Quantizer;
  /** A 1×1 convolution: codes `[B, h, w, D]` → `[B, h, w, zChannels]`. */
  readonly postQuantConv: Conv2d;
  /** `[B, h, w, zChannels]` → images `[B, H, W, C]`. */
  readonly decoder: Layer;
  readonly #decoder: VQGANDecoder;

  /** Makes the networks around a quantiser.
   * @throws {RangeError} there is no level, halving leaves a remainder, no level has an attention resolution, or the
   * groups do not divide the channels
   */
  constructor(device: Device, quantizer: Quantizer, options: VQGANOptions) {
    super();
    const settings = { ...DEFAULTS, recompute: false, ...options };
    const { channels, groups, norm, key } = settings;
    const { codebookDim } = quantizer;
    const zChannels = settings.zChannels ?? codebookDim;
    const levels = planLevels(settings);
    const [encoderKey, decoderKey, quantKey, postKey] = [0, 1, 2, 3].map((part) =>
      partKey(key, part)
    );
    const plain = groupNorms(device, groups);
    const side = { ...settings, levels, zChannels };
    this.downsampling = 2 ** (levels.length - 1);
    this.channels = channels;
    this.encoder = new VQGANEncoder(device, { ...side, norm: plain, key: encoderKey });
    this.quantConv = new Conv2d(device, zChannels, codebookDim, { key: quantKey, kernelSize: 1 });
    this.quantizer = quantizer;
    this.postQuantConv = new Conv2d(device, codebookDim, zChannels, {
      key: postKey,
      kernelSize: 1,
    });
    const norms = norm === "group" ? plain : spatialNorms(device, groups, codebookDim);
    this.#decoder = new VQGANDecoder(device, { ...side, norm: norms, key: decoderKey });
    this.decoder = this.#decoder;
  }

  /** The weight of the decoder's last convolution. */
  get lastWeight(): Tensor {
    return this.#decoder.convOut.weight;
  }

  /** Encodes images: float32 `[B, H, W, C]` → `[B, h, w, D]`.
   * @throws {TypeError} the images have another number of channels, or a side is not divisible by the downsampling
   */
  encode(images: Tensor, context?: Context): Tensor {
    this.checkImages(images);
    return this.quantConv.forward(this.encoder.forward(images, contextOf(context, 0)));
  }

  /** Decodes codes: float32 `[B, h, w, D]` → `[B, H, W, C]`. */
  decode(codes: Tensor, context?: Context): Tensor {
    return this.#decoder.forward(this.postQuantConv.forward(codes), contextOf(context, 1), codes);
  }
}

const counts = () => z.array(z.int().min(1)).readonly();

/** VQGAN in the registry. */
export const vqganKind: ModelKind<
  VQGAN,
  { readonly quantizer: Quantizer; readonly channels: number; readonly recompute?: boolean },
  VQGANSettings
> = {
  schema: z.strictObject({
    ch: z.int().min(1).default(DEFAULTS.ch).describe(
      "the base number of channels, multiplied by each entry of chMult",
    ),
    chMult: counts().default(DEFAULTS.chMult)
      .describe("the channels of each level as multiples of ch, the finest level first"),
    numResBlocks: z.int().min(1).default(DEFAULTS.numResBlocks)
      .describe("residual blocks per level; the decoder has one more"),
    resolution: z.int().min(1).default(DEFAULTS.resolution)
      .describe("the side of the images that attnResolutions refers to"),
    attnResolutions: counts().default(DEFAULTS.attnResolutions)
      .describe("the sides of the feature maps that have attention"),
    zChannels: z.int().min(1).nullable().default(DEFAULTS.zChannels)
      .describe("channels of the latent feature map; none: the length of a code"),
    dropout: z.number().min(0).lt(1).default(DEFAULTS.dropout)
      .describe("the dropout probability inside residual blocks in training"),
    groups: z.int().min(1).default(DEFAULTS.groups).describe(
      "the number of groups of channels in every norm",
    ),
    norm: z.enum(["group", "spatial"]).default(DEFAULTS.norm)
      .describe("the decoder's norms; spatial: modulated by the codes, as in MoVQ"),
  }),
  make(device, { quantizer, channels, recompute }, settings, key) {
    return new VQGAN(device, quantizer, { channels, recompute, ...settings, key });
  },
};
