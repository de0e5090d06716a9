/** The latents of a diffusion: a first stage's features before quantisation, scaled. */
import { add, sub } from "../../core/functions/elementwise.ts";
import { matmul } from "../../core/functions/products.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Counter, Module } from "../../nn/module.ts";
import { principalComponents } from "./principal_components.ts";

/** How features are scaled to a standard deviation of 1: by one factor for all channels (arXiv 2112.10752), or by one
 * factor per channel. */
export const SCALINGS = ["one", "channels"] as const;

/** The name of a scaling. */
export type Scaling = typeof SCALINGS[number];

/** Options of the constructor. */
export interface LatentSpaceOptions {
  /** D: the number of channels of the features. */
  readonly width: number;
  /** How the features are scaled. */
  readonly scaling: Scaling;
  /** The number of principal components of the features that become the channels of the latents. By default, the latents
   * have the features' own channels. */
  readonly components?: number;
}

/** The smallest variance that a channel is scaled by, as a fraction of the largest variance. */
const LEAST_VARIANCE = 1e-8;

/** Maps features f to latents (f − mean)·basis and back. Mean and basis are measured once, on features of training
 * images. They are state, so a checkpoint keeps them. With few components, the latents omit the directions in which
 * features hardly vary.
 *
 * ```ts
 * import { LatentSpace, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const latents = new LatentSpace(device, { width: 1, scaling: "channels" });
 * latents.measure(Float32Array.of(2, 6));
 * const features = device.tensor([8], [1, 1]);
 * const encoded = latents.encode(features);
 * assert.equal(await encoded.item(), 2);
 * assert.equal(await latents.decode(encoded).item(), 8);
 * ```
 */
export class LatentSpace extends Module {
  /** 1 after the measurement, 0 before. */
  readonly measured: Counter = new Counter();
  /** `[D]`. */
  readonly mean: Tensor;
  /** `[D, channels]`. */
  readonly basis: Tensor;
  /** `[channels, D]`. */
  readonly inverse: Tensor;
  /** Channels of the latents. */
  readonly channels: number;
  readonly #options: LatentSpaceOptions;

  /** Makes a space without measured statistics; `measure` must follow.
   * @throws {RangeError} there are fewer channels than components
   */
  constructor(device: Device, options: LatentSpaceOptions) {
    super();
    const { width, components } = options;
    const channels = components ?? width;
    if (!Number.isInteger(channels) || channels < 1 || channels > width) {
      throw new RangeError(
        `Cannot make latents: components must be a whole number from 1 to ${width}, the channels of the features, got ${channels}`,
      );
    }
    this.channels = channels;
    this.#options = options;
    this.mean = device.tensor(new Float32Array(width), [width]);
    this.basis = device.tensor(new Float32Array(width * channels), [width, channels]);
    this.inverse = device.tensor(new Float32Array(width * channels), [channels, width]);
  }

  /** Measures mean and basis from the features of some images.
   * @param features two or more rows of D values
   * @throws {RangeError} the features do not vary
   */
  measure(features: Float32Array): void {
    const [width] = this.mean.shape;
    const { mean, covariance } = momentsOf(features, width);
    const total = covariance.reduce((sum, row, at) => sum + row[at], 0);
    if (!(total > 0)) {
      throw new RangeError(`Cannot measure latents: the features must vary, got variance ${total}`);
    }
    const { scaling, components } = this.#options;
    const { directions, variances } = components === undefined
      ? { directions: identity(width), variances: covariance.map((row, at) => row[at]) }
      : principalComponents(covariance, components);
    const least = LEAST_VARIANCE * variances.reduce((a, b) => Math.max(a, b));
    const common = variances.reduce((a, b) => a + b) / variances.length;
    const held = variances.map((variance) =>
      Math.sqrt(scaling === "one" ? common : Math.max(variance, least))
    );
    const basis = new Float32Array(this.basis.size), inverse = new Float32Array(this.basis.size);
    directions.forEach((direction, channel) => {
      direction.forEach((value, at) => {
        basis[at * this.channels + channel] = value / held[channel];
        inverse[channel * width + at] = value * held[channel];
      });
    });
    this.mean.write(Float32Array.from(mean));
    this.basis.write(basis);
    this.inverse.write(inverse);
    this.measured.value = 1;
  }

  /** Features to latents: float32 `[..., D]` → `[..., channels]`. */
  encode(features: Tensor): Tensor {
    return matmul(sub(features, this.mean), this.basis);
  }

  /** Latents to features: float32 `[..., channels]` → `[..., D]`. */
  decode(latents: Tensor): Tensor {
    return add(matmul(latents, this.inverse), this.mean);
  }
}

/** The mean and the covariance of rows of values, in float64. */
function momentsOf(
  values: Float32Array,
  width: number,
): { readonly mean: number[]; readonly covariance: number[][] } {
  const rows = values.length / width;
  const mean = new Array<number>(width).fill(0);
  values.forEach((value, at) => mean[at % width] += value / rows);
  const covariance = mean.map(() => new Array<number>(width).fill(0));
  const centred = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < width; at++) centred[at] = values[row * width + at] - mean[at];
    for (let i = 0; i < width; i++) {
      const own = covariance[i], scaled = centred[i] / rows;
      for (let j = 0; j < width; j++) own[j] += scaled * centred[j];
    }
  }
  return { mean, covariance };
}

function identity(width: number): number[][] {
  return Array.from(
    { length: width },
    (_, row) => Array.from({ length: width }, (_, column) => row === column ? 1 : 0),
  );
}
