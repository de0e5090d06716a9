/** Optimisers. Their moments and step count are state, saved with the rest. */
import { assign, execute } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import type { Tensor } from "../core/tensor.ts";
import { withoutShare } from "./gradients.ts";
import { Counter, Module } from "./module.ts";

/** Steps parameters along their gradients. */
export interface Optimizer extends Module {
  /** Updates every parameter in place.
   * @param gradients in the parameters' order
   * @param learningRate of this step
   */
  step(gradients: readonly Tensor[], learningRate: number): void;

  /** Lets go of what is remembered of a parameter's rows, as far as they were replaced.
   * @param parameter `[K, ...]`; nothing happens if it is not one that this optimiser steps
   * @param share float32 `[K]` in [0, 1]: 0 keeps all, 1 nothing
   */
  forget(parameter: Tensor, share: Tensor): void;
}

/** Adam's settings; PyTorch's defaults. */
export interface AdamOptions {
  /** Decay of the first moment, 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment, 0.999. */
  readonly beta2?: number;
  /** Added to the denominator, 1e−8. */
  readonly epsilon?: number;
  /** Weight decay, 0: added to the gradient by Adam, applied to the weights by AdamW. */
  readonly weightDecay?: number;
  /** Which parameters the weight decay is for; all by default. */
  readonly decays?: (parameter: Tensor) => boolean;
}

/** Adam (arXiv 1412.6980), in PyTorch's form: p ← p − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε).
 *
 * ```ts
 * import { Adam, backward, Linear, mean, openDevice, randomKey, square } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 2, 1, { key: randomKey(1, "layer") });
 * const adam = new Adam(layer.namedParameters());
 * const loss = mean(square(layer.forward(device.tensor([1, 2], [1, 2]))));
 * adam.step(backward(loss, layer.parameters()), 1e-3);
 * ```
 */
export class Adam extends Module implements Optimizer {
  /** Steps taken. */
  readonly steps: Counter = new Counter();
  /** Moving averages of the gradients, by parameter. */
  readonly firstMoments: ReadonlyMap<string, Tensor>;
  /** Moving averages of the squared gradients, by parameter. */
  readonly secondMoments: ReadonlyMap<string, Tensor>;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  readonly #options: Required<Omit<AdamOptions, "decays">>;
  /** The numbers of the parameters that decay, and of those that do not. */
  readonly #groups: readonly (readonly [decays: boolean, numbers: readonly number[]])[];

  /** Makes the moments, all zero.
   * @param parameters by name; the names name the moments in the state dictionary
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamOptions = {}) {
    super();
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
    this.#options = { beta1, beta2, epsilon, weightDecay };
    this.#parameters = new Map(parameters);
    const { decays = () => true } = options;
    const numbers = [...parameters.values()].map((tensor, number) =>
      [decays(tensor), number] as const
    );
    this.#groups = [true, false].map((group) => [
      group,
      numbers.filter(([own]) => own === group).map(([, number]) => number),
    ]);
    const moments = () =>
      new Map([...parameters].map(([name, { device, shape }]) => [name, zeros(device, shape)]));
    this.firstMoments = moments();
    this.secondMoments = moments();
  }

  /** Scales both moments of the parameter's rows by 1 − share. */
  forget(parameter: Tensor, share: Tensor): void {
    for (const [name, own] of this.#parameters) {
      if (own !== parameter) continue;
      using _scope = parameter.device.scope();
      for (const moments of [this.firstMoments, this.secondMoments]) {
        const moment = moments.get(name)!;
        assign(moment, withoutShare(moment, share));
      }
    }
  }

  /** Updates every parameter in place: all that decay in one operation, all that do not in another.
   * @throws {TypeError} not one gradient a parameter
   */
  step(gradients: readonly Tensor[], learningRate: number): void {
    if (gradients.length !== this.#parameters.size) {
      throw new TypeError(
        `Cannot take an Adam step: ${this.#parameters.size} gradients are needed, got ${gradients.length}`,
      );
    }
    const step = ++this.steps.value;
    const { beta1, beta2, epsilon, weightDecay } = this.#options;
    const values = [this.#parameters, this.firstMoments, this.secondMoments].map((map) => [
      ...map.values(),
    ]);
    for (const [decays, numbers] of this.#groups) {
      if (numbers.length === 0) continue;
      const own = numbers.map((number) => gradients[number]);
      execute(
        own[0].device,
        "adam",
        own,
        {
          rate: learningRate / (1 - beta1 ** step),
          beta1,
          beta2,
          correction: Math.sqrt(1 - beta2 ** step),
          epsilon,
          ...this.weightDecay(decays ? weightDecay : 0, learningRate),
        },
        values.flatMap((all) => numbers.map((number) => all[number])),
      );
    }
  }

  /** What the weight decay adds to the gradient, and the share that it takes off the weights. */
  protected weightDecay(
    weightDecay: number,
    _learningRate: number,
  ): { readonly regularization: number; readonly decay: number } {
    return { regularization: weightDecay, decay: 0 };
  }
}

/** AdamW (arXiv 1711.05101): Adam with the weight decay apart from the gradient, p ← p·(1 − lr·weightDecay) first. */
export class AdamW extends Adam {
  /** Makes the moments, all zero.
   * @param parameters by name; the weight decay is 0.01 unless given
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamOptions = {}) {
    super(parameters, { ...options, weightDecay: options.weightDecay ?? 0.01 });
  }

  /** What the weight decay adds to the gradient, nothing, and the share that it takes off the weights. */
  protected override weightDecay(
    weightDecay: number,
    learningRate: number,
  ): { readonly regularization: number; readonly decay: number } {
    return { regularization: 0, decay: learningRate * weightDecay };
  }
}
