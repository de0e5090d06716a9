/** Predicts the next code with a causal transformer. */
import { withoutGradients } from "../core/execute.ts";
import { reshape, slice } from "../core/functions/movement.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
import type { StackCache } from "../models/transformer/stack.ts";
import type { NextCode } from "./samplers/autoregressive.ts";
import { guidedLogits } from "./samplers/guided_logits.ts";

/** Options of the constructor. */
export interface NextCodeOptions {
  /** How many images. */
  readonly count: number;
  /** The classes for the model, `[count]`; with guidance `[2·count]`, where the second half has no class. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** The scale of classifier-free guidance: 0 gives the logits without a class, 1 those with the class, and larger
   * values extrapolate beyond them. */
  readonly guidance: number;
  /** float32 `[labels, T, memoryWidth]`: another sequence that the model attends to, if it has cross-attention. */
  readonly memory?: Tensor;
}

/** Predicts the next code of some images with a transformer and its KV cache. */
export class CachedTransformer implements NextCode, Disposable {
  readonly #device: Device;
  readonly #model: CodeTransformer;
  readonly #options: NextCodeOptions;
  readonly #cache: StackCache;

  /** Starts before the first code. */
  constructor(device: Device, model: CodeTransformer, options: NextCodeOptions) {
    this.#device = device;
    this.#model = model;
    this.#options = options;
    this.#cache = model.cache();
  }

  /** The logits of the next code: float32 `[count, K]`.
   * @param codes int32 `[count, n]`, the codes added since the last call
   */
  next(codes: Int32Array<ArrayBuffer> | undefined): Tensor {
    return withoutGradients(() => {
      const { count, labels, guidance, memory } = this.#options, rows = labels.length;
      using scope = this.#device.scope();
      const features = this.#model.forward(
        {
          labels: this.#cache.length === 0 ? this.#device.tensor(labels, [rows]) : undefined,
          codes: codes && this.#device.tensor(repeated(codes, rows / count), [
            rows,
            codes.length / count,
          ]),
          memory,
        },
        undefined,
        this.#cache,
      );
      const [, length, width] = features.shape;
      const last = slice(features, [0, length - 1, 0], [rows, 1, width]);
      const logits = this.#model.logits(reshape(last, [rows, width]));
      return scope.keep(rows === count ? logits : guidedLogits(logits, guidance));
    });
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.#cache[Symbol.dispose]();
  }
}

/** Repeats the rows. */
export function repeated(rows: Int32Array<ArrayBuffer>, times: number): Int32Array<ArrayBuffer> {
  if (times === 1) return rows;
  const all = new Int32Array(rows.length * times);
  for (let start = 0; start < all.length; start += rows.length) all.set(rows, start);
  return all;
}
