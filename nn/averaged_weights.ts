/** Averaged weights: exponential moving averages (EMA) of a model's parameters, used to sample from generators. */
import { assign, withoutGradients } from "../core/execute.ts";
import { add, mul, sub } from "../core/functions/elementwise.ts";
import type { Tensor } from "../core/tensor.ts";
import { Counter, Module } from "./module.ts";

/** Exponential moving averages of parameters: a ← d·a + (1 − d)·p after every step. The decay has a warm-up, d =
 * min(decay, (1 + t) / (10 + t)) at update t, counted from 0, so that the initial values are soon forgotten.
 *
 * ```ts
 * import { AveragedWeights, Linear, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 1, 1, { key: randomKey(1, "layer") });
 * const averaged = new AveragedWeights(layer.namedParameters(), 0.5);
 * layer.weight.write(Float32Array.of(10));
 * averaged.update();
 * {
 *   using _applied = averaged.apply();
 *   console.log(await layer.weight.floats()); // between the initial weight and 10
 * }
 * assert.deepEqual([...await layer.weight.floats()], [10]);
 * ```
 */
export class AveragedWeights extends Module {
  /** The number of updates so far. */
  readonly updates: Counter = new Counter();
  /** The averages, by the parameters' names. */
  readonly values: ReadonlyMap<string, Tensor>;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  readonly #decay: number;

  /** Starts at the current values of the parameters.
   * @throws {RangeError} the decay is not in [0, 1)
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, decay: number) {
    super();
    if (!(decay >= 0 && decay < 1)) {
      throw new RangeError(`Cannot average weights: the decay must be in [0, 1), got ${decay}`);
    }
    this.#decay = decay;
    this.#parameters = parameters;
    this.values = new Map([...parameters].map(([name, tensor]) => [name, duplicate(tensor)]));
  }

  /** Updates the averages with the current parameters. Nothing is read back. */
  update(): void {
    const t = this.updates.value++;
    const share = 1 - Math.min(this.#decay, (1 + t) / (10 + t));
    withoutGradients(() => {
      for (const [name, average] of this.values) {
        using _scope = average.device.scope();
        assign(average, add(average, mul(sub(this.#parameters.get(name)!, average), share)));
      }
    });
  }

  /** Replaces the parameters by their averages until the result is disposed of. */
  apply(): Disposable {
    const trained = new Map(
      [...this.#parameters].map(([name, tensor]) => [name, duplicate(tensor)]),
    );
    for (const [name, tensor] of this.#parameters) assign(tensor, this.values.get(name)!);
    return {
      [Symbol.dispose]: () => {
        for (const [name, tensor] of this.#parameters) {
          const own = trained.get(name)!;
          assign(tensor, own);
          own.dispose();
        }
      },
    };
  }
}

/** A copy of a tensor in separate memory. */
function duplicate(tensor: Tensor): Tensor {
  const copy = tensor.device.empty(tensor.shape, "float32");
  assign(copy, tensor);
  return copy;
}
