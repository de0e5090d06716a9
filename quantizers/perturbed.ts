/** A wrapper that replaces some codes by near ones in training, as a generator's mistakes will. */
import * as z from "zod";
import { withoutGradients } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import { add, greaterEqual, less, mul, sub, where } from "../core/functions/elementwise.ts";
import { gather, nearest } from "../core/functions/indexing.ts";
import { reshape } from "../core/functions/movement.ts";
import { permutation, type RandomKey } from "../core/random.ts";
import type { Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { drawOwnRows, SINGLE } from "../nn/replicas.ts";
import { readSettings } from "../settings/settings.ts";
import type { QuantizerMethod } from "./method.ts";
import type { QuantizeContext, Quantized, Quantizer } from "./quantizer.ts";
import { OutputWrapper } from "./wrapped.ts";

/** The settings that `perturbable` adds to a method. */
export interface PerturbationSettings {
  /** The probability with which training gives the decoder another code, near the one chosen. */
  readonly perturbation: number;
  /** How near: the mean rank of that code among the codes nearest to the one chosen. */
  readonly perturbationReach: number;
}

/** In training, the decoder gets another code for some features: one near the code that was chosen. So it learns to
 * decode codes that a generator confuses. Losses, indices, usage and updates are those of the inner quantiser, and the
 * gradient reaches the features as if their code had not been replaced. In evaluation nothing is replaced.
 *
 * The other code is the nearest in a random part of the codebook, which has K/`perturbationReach` codes and changes at
 * every step. Its rank among the neighbours is therefore distributed geometrically, with a mean of `perturbationReach`;
 * the chosen code itself has rank 1.
 *
 * Source: the latent perturbation of arXiv 2503.08354, which perturbs a tenth of the images of a batch and draws the
 * rank uniformly.
 *
 * ```ts
 * import { openDevice, PerturbedCodes, randomKey, VanillaQuantizer } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const key = randomKey(1, "codebook");
 * const inner = new VanillaQuantizer(device, { codebookSize: 8, codebookDim: 2, key });
 * const quantizer = new PerturbedCodes(inner, { perturbation: 1, perturbationReach: 8 });
 * const features = device.tensor([1, 2, 3, 4], [2, 2]);
 * const { quantized } = quantizer.quantize(features, { training: true, key });
 * const [a, b, c, d] = await quantized.floats();
 * assert.ok(Math.abs(a - c) < 1e-6 && Math.abs(b - d) < 1e-6); // That part of the codebook is a single code here.
 * ```
 */
export class PerturbedCodes extends OutputWrapper {
  readonly #settings: PerturbationSettings;

  /** Wraps a quantiser.
   * @param inner its `codes` must be in the space of its output
   */
  constructor(inner: Quantizer, settings: PerturbationSettings) {
    super(inner);
    this.#settings = settings;
  }

  /** Losses: those of the inner quantiser.
   * @throws {TypeError} the last axis is not D, the mask does not have one value per feature, or the inner quantiser has
   * no codebook
   */
  quantize(features: Tensor, context: QuantizeContext): Quantized {
    const found = this.inner.quantize(features, context);
    if (!context.training) return found;
    const step = withoutGradients(() => this.#errors(found.indices, context));
    return { ...found, quantized: add(found.quantized, step) };
  }

  /** The differences of the other codes from the chosen ones, zeros where none is replaced: int32 `[...]` →
   * `[..., D]`. */
  #errors(indices: Tensor, { key, replicas = SINGLE }: QuantizeContext): Tensor {
    const { device, shape, size } = indices;
    const codes = this.inner.codes();
    if (codes === undefined) {
      throw new TypeError(
        `Cannot perturb codes: the inner quantizer must keep a codebook, got ${this.inner.constructor.name}`,
      );
    }
    const rows = reshape(indices, [size]);
    const chosen = gather(codes, rows);
    const part = gather(codes, device.tensor(this.#part(key), [this.#partSize]));
    const others = gather(part, nearest(chosen, part, { distance: "l2" }));
    const draws = drawOwnRows(shape, replicas, (all) => uniform(device, all, partKey(key, 1)));
    const replaced = mul(
      less(draws, this.#settings.perturbation),
      greaterEqual(indices, 0), // Padding has no code.
    );
    const step = where(reshape(replaced, [size, 1]), sub(others, chosen), 0);
    return reshape(step, [...shape, this.codebookDim]);
  }

  get #partSize(): number {
    return Math.max(1, Math.round(this.codebookSize / this.#settings.perturbationReach));
  }

  /** The codes of a random part of the codebook. */
  #part(key: RandomKey): Int32Array<ArrayBuffer> {
    return permutation(partKey(key, 0), this.codebookSize).slice(0, this.#partSize);
  }
}

/** The same method with the settings `perturbation` and `perturbationReach`. */
export function perturbable<Settings extends object>(
  method: QuantizerMethod<Settings>,
): QuantizerMethod<Settings & PerturbationSettings>;
export function perturbable(method: QuantizerMethod): QuantizerMethod {
  const schema = method.schema.extend({
    perturbation: z.number().min(0).max(1).default(0).describe(
      "the probability with which training decodes a near code instead of the chosen one, so that the decoder " +
        "tolerates a generator's mistakes; 0: never",
    ),
    perturbationReach: z.number().min(1).default(16).describe(
      "how near that code is: its mean rank among the codes nearest to the chosen one",
    ),
  });
  return {
    schema,
    make: (device, settings, key) => {
      const { perturbation, perturbationReach, ...rest } = readSettings(
        schema,
        settings,
        "make a quantizer",
      );
      const inner = method.make(device, rest, key);
      return perturbation === 0
        ? inner
        : new PerturbedCodes(inner, { perturbation, perturbationReach });
    },
  };
}
