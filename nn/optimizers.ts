/** Optimisers. Their moments and step count are part of the saved state. */
import { assign, execute } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import type { Tensor } from "../core/tensor.ts";
import { withoutShare } from "./gradients.ts";
import { Counter, Module } from "./module.ts";

/** Updates parameters by their gradients. */
export interface Optimizer extends Module {
  /** Updates every parameter in place.
   * @param gradients in the order of the parameters
   * @param learningRate the learning rate of this step
   */
  step(gradients: readonly Tensor[], learningRate: number): void;

  /** Scales down the moments of a parameter's rows, in proportion to the share of each row that was replaced.
   * @param parameter `[K, ...]`; nothing happens if this optimiser does not update it
   * @param share float32 `[K]` in [0, 1]: 0 keeps a row's moments, 1 sets them to zero
   */
  forget(parameter: Tensor, share: Tensor): void;
}

/** Adam's settings. The defaults are PyTorch's. */
export interface AdamOptions {
  /** Decay of the first moment; by default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment; by default 0.999. */
  readonly beta2?: number;
  /** Added to the denominator; by default 1e−8. */
  readonly epsilon?: number;
  /** Weight decay; by default 0. Adam adds it to the gradient, AdamW applies it to the weights. */
  readonly weightDecay?: number;
  /** Which parameters have weight decay; by default all. */
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
  /** The number of steps so far. */
  readonly steps: Counter = new Counter();
  /** Exponential moving averages of the gradients, by parameter. */
  readonly firstMoments: ReadonlyMap<string, Tensor>;
  /** Exponential moving averages of the squared gradients, by parameter. */
  readonly secondMoments: ReadonlyMap<string, Tensor>;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  readonly #options: Required<Omit<AdamOptions, "decays">>;
  /** The numbers of the parameters with weight decay, and of those without. */
  readonly #groups: readonly (readonly [decays: boolean, numbers: readonly number[]])[];

  /** Makes the moments, initially zero.
   * @param parameters by name; the state dictionary uses these names for the moments
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

  /** Updates every parameter in place, in two operations: parameters with weight decay, and those without.
   * @throws {TypeError} the number of gradients is not the number of parameters
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

  /** The factor of the weights that weight decay adds to the gradient, and the fraction of the weights that it
   * subtracts. */
  protected weightDecay(
    weightDecay: number,
    _learningRate: number,
  ): { readonly regularization: number; readonly decay: number } {
    return { regularization: weightDecay, decay: 0 };
  }
}

/** AdamW (arXiv 1711.05101): Adam with decoupled weight decay, p ← p·(1 − lr·weightDecay) before the step. */
export class AdamW extends Adam {
  /** Makes the moments, initially zero.
   * @param parameters by name; the default weight decay is 0.01
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamOptions = {}) {
    super(parameters, { ...options, weightDecay: options.weightDecay ?? 0.01 });
  }

  /** Adds nothing to the gradient; weight decay subtracts a fraction of the weights instead. */
  protected override weightDecay(
    weightDecay: number,
    learningRate: number,
  ): { readonly regularization: number; readonly decay: number } {
    return { regularization: 0, decay: learningRate * weightDecay };
  }
}
