/** The U-Net of latent diffusion (arXiv 2112.10752; the network of arXiv 2105.05233). */
import { full } from "../../core/functions/creation.ts";
import { add, silu } from "../../core/functions/elementwise.ts";
import { concatenate, reshape, slice } from "../../core/functions/movement.ts";
import type { RandomKey } from "../../core/random.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Conv2d } from "../../nn/convolution.ts";
import { Embedding } from "../../nn/embedding.ts";
import { partKey, zeroed } from "../../nn/initializers.ts";
import { GroupNorm } from "../../nn/normalization.ts";
import { type DenoiseContext, Denoiser } from "../denoiser.ts";
import { AttentionBlock } from "./attention_block.ts";
import type { PartContext, UNetPart } from "./part.ts";
import { Downsample, Upsample } from "./resampling.ts";
import { ResidualBlock } from "./residual_block.ts";
import { SpatialTransformer } from "./spatial_transformer.ts";
import { TimeEmbedding } from "./time_embedding.ts";

/** How a network is conditioned on the class: `embedding` adds a class vector to the timestep embedding,
 * `cross-attention` attends to the class vector. */
export const CONDITIONINGS = ["embedding", "cross-attention"] as const;

/** How the network changes the resolution: with a convolution, or inside a residual block. */
export const RESAMPLINGS = ["convolution", "residual"] as const;

/** The settings of a U-Net in a configuration. */
export interface UNetSettings {
  /** Channels of the first level, even. */
  readonly width: number;
  /** The channels of each level as multiples of `width`, the finest level first. */
  readonly multipliers: readonly number[];
  /** Residual blocks per level of the downsampling path; each level of the upsampling path has one more. */
  readonly residualBlocks: number;
  /** The downsampling factors at which attention follows the residual blocks. The middle block always has attention. */
  readonly attentionAt: readonly number[];
  /** Channels of an attention head; `null`: the channels are divided into `heads` heads. */
  readonly headChannels: number | null;
  /** The number of attention heads if `headChannels` is `null`. */
  readonly heads: number;
  /** The number of groups of the norms. */
  readonly groups: number;
  /** The dropout probability in residual blocks. */
  readonly dropout: number;
  /** Whether the embedding scales and shifts the normalised values in residual blocks instead of being added. */
  readonly scaleShift: boolean;
  /** How the network changes the resolution. */
  readonly resample: typeof RESAMPLINGS[number];
  /** How the network is conditioned on the class. */
  readonly conditioning: typeof CONDITIONINGS[number];
  /** The length of the class vector that cross-attention attends to. */
  readonly contextWidth: number;
}

/** Options of the constructor. */
export interface UNetOptions extends UNetSettings {
  /** Channels of the images or latents. */
  readonly channels: number;
  /** The number of classes that the network is conditioned on; `null` without classes. */
  readonly classes: number | null;
  /** The random key of the initial weights. */
  readonly key: RandomKey;
}

/** The settings of a small U-Net. */
export const SMALL_UNET: UNetSettings = {
  width: 64,
  multipliers: [1, 2],
  residualBlocks: 1,
  attentionAt: [1, 2],
  headChannels: 32,
  heads: 1,
  groups: 32,
  dropout: 0,
  scaleShift: false,
  resample: "convolution",
  conditioning: "embedding",
  contextWidth: 512,
};

/** A downsampling path and an upsampling path of residual blocks, with attention at some levels. Each block of the
 * upsampling path also gets the output of its counterpart in the downsampling path (a skip connection). The output is
 * initially zero.
 *
 * If a side is odd, the coarser level has half of it, rounded up. In the upsampling path, the excess is cropped at the
 * bottom and the right.
 *
 * ```ts
 * import { openDevice, randomKey, SMALL_UNET, UNet, zeros } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "model");
 * const options = { ...SMALL_UNET, width: 8, groups: 4, headChannels: 8, classes: 10 };
 * const model = new UNet(device, { ...options, channels: 3, key });
 * const labels = device.tensor(Int32Array.of(7), [1]);
 * const noise = model.forward(zeros(device, [1, 7, 7, 3]), [500], { training: false, key, labels });
 * assert.deepEqual(noise.shape, [1, 7, 7, 3]);
 * ```
 */
export class UNet extends Denoiser {
  /** Channels of the images or latents. */
  readonly channels: number;
  /** The number of classes that the network is conditioned on; `null` without classes. */
  readonly classes: number | null;
  /** The embedding of the timesteps. */
  readonly timeEmbedding: TimeEmbedding;
  /** The class embedding, whose last entry stands for no class; `undefined` without classes. */
  readonly classEmbedding: Embedding | undefined;
  /** The downsampling path. The output of each item is kept for the upsampling path. */
  readonly inputBlocks: readonly (readonly (Conv2d | UNetPart)[])[];
  /** The coarsest resolution: residual block, attention, residual block. */
  readonly middleBlock: readonly UNetPart[];
  /** The upsampling path. */
  readonly outputBlocks: readonly (readonly UNetPart[])[];
  /** The norm before the output, with its SiLU. */
  readonly outputNorm: GroupNorm;
  /** The convolution to the output, initially zero. */
  readonly output: Conv2d;
  readonly #options: UNetOptions;

  /** Makes the network.
   * @throws {RangeError} the groups or the heads do not divide a level's channels, the width is odd, or `attentionAt`
   * has a downsampling factor that the network does not have
   */
  constructor(device: Device, options: UNetOptions) {
    super();
    const { width, multipliers, residualBlocks, channels, classes, key } = options;
    check(options);
    this.#options = options;
    this.channels = channels;
    this.classes = classes;
    this.timeEmbedding = new TimeEmbedding(device, width, partKey(key, 0));
    this.classEmbedding = classes === null ? undefined : new Embedding(
      device,
      classes + 1,
      this.#attendsToClass ? options.contextWidth : 4 * width,
      {
        key: partKey(key, 1),
      },
    );
    const parts = new Parts(device, options, partKey(key, 2));
    const first = { key: partKey(key, 3), kernelSize: 3, padding: 1 };
    const inputBlocks: (readonly (Conv2d | UNetPart)[])[] = [
      [new Conv2d(device, channels, width, first)],
    ];
    const kept = [width];
    const coarsest = multipliers.length - 1;
    let now = width;
    multipliers.forEach((multiplier, level) => {
      for (let block = 0; block < residualBlocks; block++) {
        inputBlocks.push(parts.level(now, multiplier * width, level));
        kept.push(now = multiplier * width);
      }
      if (level === coarsest) return;
      inputBlocks.push([parts.down(now)]);
      kept.push(now);
    });
    this.inputBlocks = inputBlocks;
    this.middleBlock = [
      parts.residual(now, now),
      parts.attention(now),
      parts.residual(now, now),
    ];
    const outputBlocks: (readonly UNetPart[])[] = [];
    for (let level = coarsest; level >= 0; level--) {
      const outputs = multipliers[level] * width;
      for (let block = 0; block <= residualBlocks; block++) {
        const own = parts.level(now + kept.pop()!, outputs, level);
        now = outputs;
        const isLast = block === residualBlocks && level > 0;
        outputBlocks.push(isLast ? [...own, parts.up(now)] : own);
      }
    }
    this.outputBlocks = outputBlocks;
    this.outputNorm = new GroupNorm(device, options.groups, now, 1e-5, true);
    const last = { key: partKey(key, 4), kernelSize: 3, padding: 1 };
    this.output = zeroed(new Conv2d(device, now, channels, last));
  }

  get #attendsToClass(): boolean {
    return this.#options.conditioning === "cross-attention";
  }

  /** Denoises: float32 `[B, H, W, channels]` → the same shape.
   * @throws {TypeError} the input does not fit: another number of channels, not exactly one timestep and label per
   * image, or sides that cannot be halved
   */
  forward(x: Tensor, times: ArrayLike<number>, { labels, ...context }: DenoiseContext): Tensor {
    this.checkInput(x, times, labels);
    this.#checkSides(x);
    const told = this.#told(x, times, labels);
    let part = 0;
    const run = (value: Tensor, parts: readonly (Conv2d | UNetPart)[]) =>
      parts.reduce((value, layer) => {
        const own = { ...context, ...told, key: partKey(context.key, part++) };
        return layer instanceof Conv2d ? layer.forward(value) : layer.forward(value, own);
      }, value);
    const kept: Tensor[] = [];
    let h = x;
    for (const block of this.inputBlocks) kept.push(h = run(h, block));
    h = run(h, this.middleBlock);
    for (const block of this.outputBlocks) {
      const skipped = kept.pop()!;
      h = run(concatenate([cut(h, skipped), skipped], 3), block);
    }
    return this.output.forward(this.outputNorm.forward(h));
  }

  /** The context of the parts: the embedding of the timesteps and the classes, and the memory. */
  #told(
    { device, shape: [batch] }: Tensor,
    times: ArrayLike<number>,
    labels: Tensor | undefined,
  ): Pick<PartContext, "embedding" | "memory"> {
    const time = this.timeEmbedding.forward(times);
    if (this.classes === null || this.classEmbedding === undefined) {
      return { embedding: silu(time) };
    }
    const none = () => full(device, [batch], this.classes ?? 0, "int32");
    const vectors = this.classEmbedding.forward(labels ?? none());
    if (!this.#attendsToClass) return { embedding: silu(add(time, vectors)) };
    return { embedding: silu(time), memory: reshape(vectors, [batch, 1, vectors.shape[1]]) };
  }

  /** Checks that sides are even if residual blocks halve them. */
  #checkSides({ shape: [, height, width] }: Tensor): void {
    const { resample, multipliers } = this.#options;
    const factor = 2 ** (multipliers.length - 1);
    if (resample === "convolution" || (height % factor === 0 && width % factor === 0)) return;
    throw new TypeError(
      `Cannot denoise: with resample "residual" the sides must be divisible by ${factor}, got ${height}×${width}`,
    );
  }
}

/** Makes the parts of a U-Net one after another. */
class Parts {
  readonly #device: Device;
  readonly #options: UNetOptions;
  readonly #key: RandomKey;
  #made = 0;

  constructor(device: Device, options: UNetOptions, key: RandomKey) {
    this.#device = device;
    this.#options = options;
    this.#key = key;
  }

  /** A residual block, with attention if the level has it. */
  level(inputs: number, outputs: number, level: number): readonly UNetPart[] {
    const residual = this.residual(inputs, outputs);
    if (!this.#options.attentionAt.includes(2 ** level)) return [residual];
    return [residual, this.attention(outputs)];
  }

  residual(inputs: number, outputs: number, resample?: "down" | "up"): ResidualBlock {
    const { width, groups, dropout, scaleShift } = this.#options;
    return new ResidualBlock(this.#device, {
      ...{ key: this.#nextKey(), inputs, outputs, embeddingWidth: 4 * width },
      ...{ groups, dropout, scaleShift, resample },
    });
  }

  attention(channels: number): UNetPart {
    const { groups, headChannels, classes, conditioning, contextWidth } = this.#options;
    const heads = headChannels === null ? this.#options.heads : channels / headChannels;
    const own = { key: this.#nextKey(), groups, heads };
    return classes !== null && conditioning === "cross-attention"
      ? new SpatialTransformer(this.#device, channels, { ...own, memoryWidth: contextWidth })
      : new AttentionBlock(this.#device, channels, own);
  }

  down(channels: number): UNetPart {
    return this.#options.resample === "residual"
      ? this.residual(channels, channels, "down")
      : new Downsample(this.#device, channels, this.#nextKey());
  }

  up(channels: number): UNetPart {
    return this.#options.resample === "residual"
      ? this.residual(channels, channels, "up")
      : new Upsample(this.#device, channels, this.#nextKey());
  }

  #nextKey(): RandomKey {
    return partKey(this.#key, this.#made++);
  }
}

/** Crops x `[B, H, W, C]` to the height and width of `like`. */
function cut(x: Tensor, like: Tensor): Tensor {
  const [batch, height, width] = like.shape;
  const shape = [batch, height, width, x.shape[3]];
  return sameShape(x.shape, shape) ? x : slice(x, [0, 0, 0, 0], shape);
}

/** Rejects settings that contradict each other. */
function check(
  { width, multipliers, attentionAt, headChannels, heads, groups }: UNetOptions,
): void {
  const refuse = (requirement: string, got: unknown) => {
    throw new RangeError(`Cannot make a U-Net: ${requirement}, got ${got}`);
  };
  if (width % 2 !== 0) refuse("width must be even", width);
  const downsamplings = multipliers.map((_, level) => 2 ** level);
  for (const at of attentionAt) {
    if (!downsamplings.includes(at)) {
      refuse(`attentionAt must be among the downsampling factors ${showShape(downsamplings)}`, at);
    }
  }
  for (const [level, multiplier] of multipliers.entries()) {
    const channels = multiplier * width;
    if (channels % groups !== 0) {
      refuse(`groups must divide a level's ${channels} channels`, groups);
    }
    const isMiddle = level === multipliers.length - 1;
    if (!isMiddle && !attentionAt.includes(2 ** level)) continue;
    const [name, divisor] = headChannels === null
      ? ["heads", heads]
      : ["headChannels", headChannels];
    if (channels % divisor !== 0) {
      refuse(`${name} must divide a level's ${channels} channels`, divisor);
    }
  }
}
