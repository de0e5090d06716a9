/** Normalisation layers with a learned scale and shift. */
import { parameter } from "../core/execute.ts";
import { ones, zeros } from "../core/functions/creation.ts";
import { groupNorm, layerNorm, rmsNorm } from "../core/functions/normalization.ts";
import { showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Layer } from "./module.ts";

function checkChannels(x: Tensor, channels: number): void {
  if (x.shape.at(-1) === channels) return;
  throw new TypeError(
    `Cannot normalise: the last axis must be ${channels}, got shape ${showShape(x.shape)}`,
  );
}

/** Layer normalisation over the last axis (arXiv 1607.06450), then scale and shift. */
export class LayerNorm extends Layer {
  /** `[channels]`, initially ones. */
  readonly weight: Tensor;
  /** `[channels]`, initially zeros. */
  readonly bias: Tensor;
  readonly #epsilon: number;

  /** Makes the scale and the shift.
   * @param epsilon added to the variance
   */
  constructor(device: Device, channels: number, epsilon = 1e-5) {
    super();
    this.weight = parameter(ones(device, [channels]));
    this.bias = parameter(zeros(device, [channels]));
    this.#epsilon = epsilon;
  }

  /** `[..., channels]` → the same shape.
   * @throws {TypeError} the last axis does not match
   */
  forward(x: Tensor): Tensor {
    checkChannels(x, this.weight.size);
    return layerNorm(x, this.weight, this.bias, this.#epsilon);
  }
}

/** RMS normalisation over the last axis (arXiv 1910.07467), then scale. */
export class RMSNorm extends Layer {
  /** `[channels]`, initially ones. */
  readonly weight: Tensor;
  readonly #epsilon: number;

  /** Makes the scale.
   * @param epsilon added to the mean square
   */
  constructor(device: Device, channels: number, epsilon = 1e-6) {
    super();
    this.weight = parameter(ones(device, [channels]));
    this.#epsilon = epsilon;
  }

  /** `[..., channels]` → the same shape.
   * @throws {TypeError} the last axis does not match
   */
  forward(x: Tensor): Tensor {
    checkChannels(x, this.weight.size);
    return rmsNorm(x, this.weight, this.#epsilon);
  }
}

/** Group normalisation (arXiv 1803.08494), then scale and shift, then optionally SiLU. */
export class GroupNorm extends Layer {
  /** `[channels]`, initially ones. */
  readonly weight: Tensor;
  /** `[channels]`, initially zeros. */
  readonly bias: Tensor;
  readonly #groups: number;
  readonly #epsilon: number;
  readonly #silu: boolean;

  /** Makes the scale and the shift.
   * @param epsilon added to the variance
   * @param silu whether to apply SiLU to the result in the same pass
   * @throws {RangeError} the groups do not divide the channels
   */
  constructor(device: Device, groups: number, channels: number, epsilon = 1e-5, silu = false) {
    super();
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
      throw new RangeError(
        `Cannot make a group norm: the groups must divide the ${channels} channels, got ${groups}`,
      );
    }
    this.weight = parameter(ones(device, [channels]));
    this.bias = parameter(zeros(device, [channels]));
    this.#groups = groups;
    this.#epsilon = epsilon;
    this.#silu = silu;
  }

  /** `[B, ..., channels]` → the same shape.
   * @throws {TypeError} the last axis does not match
   */
  forward(x: Tensor): Tensor {
    checkChannels(x, this.weight.size);
    const [groups, epsilon, silu] = [this.#groups, this.#epsilon, this.#silu];
    return groupNorm(x, this.weight, this.bias, { groups, epsilon, silu });
  }
}
