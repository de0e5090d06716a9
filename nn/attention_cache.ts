/** A cache of the keys and values of earlier tokens. */
import { withoutGradients } from "../core/execute.ts";
import { concatenate } from "../core/functions/movement.ts";
import type { Tensor } from "../core/tensor.ts";

/** The keys and values of one layer. */
export interface KeysAndValues {
  /** float32 `[B, T, H, D]`. */
  readonly keys: Tensor;
  /** float32 `[B, T, H, D]`. */
  readonly values: Tensor;
}

/** Keeps the keys and values of earlier tokens, so that only new tokens have to be computed. It owns its memory: no
 * scope disposes of it.
 *
 * ```ts
 * import { Attention, AttentionCache, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Attention(device, 8, { heads: 2, causal: true, key: randomKey(1, "layer") });
 * const token = device.tensor(new Float32Array(8), [1, 1, 8]);
 * using cache = new AttentionCache();
 * layer.forward(token, undefined, { cache });
 * layer.forward(token, undefined, { cache });
 * assert.equal(cache.length, 2);
 * ```
 */
export class AttentionCache implements Disposable {
  #held: KeysAndValues | undefined;

  /** How many tokens it holds. */
  get length(): number {
    return this.#held?.keys.shape[1] ?? 0;
  }

  /** The keys and values of all tokens so far; none before the first. */
  get held(): KeysAndValues | undefined {
    return this.#held;
  }

  /** Appends the next tokens.
   * @returns the keys and values of all tokens so far, in order
   * @throws {TypeError} the batch size or the heads differ from earlier ones
   */
  append(next: KeysAndValues): KeysAndValues {
    return withoutGradients(() => {
      const before = this.#held;
      const join = (part: keyof KeysAndValues) => {
        const joined = concatenate(
          before === undefined ? [next[part]] : [before[part], next[part]],
          1,
        );
        joined.owner?.delete(joined);
        return joined;
      };
      const held = { keys: join("keys"), values: join("values") };
      this[Symbol.dispose]();
      this.#held = held;
      return held;
    });
  }

  /** Forgets all tokens and frees their memory. */
  [Symbol.dispose](): void {
    this.#held?.keys.dispose();
    this.#held?.values.dispose();
    this.#held = undefined;
  }
}
