/** The rule of the clustered codebook for reviving dead codes (arXiv 2307.15139). */
import { zeros } from "../core/functions/creation.ts";
import { add, cast, exp, mul, type Operand, sub } from "../core/functions/elementwise.ts";
import { reshape } from "../core/functions/movement.ts";
import type { RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { partKey } from "../nn/initializers.ts";
import { Counter, Module } from "../nn/module.ts";
import { type Anchors, type AnchorSampling, makeAnchors } from "./anchors.ts";
import type { CodebookBatch } from "./codebook.ts";
import { assignIf } from "./finite_features.ts";
import type { CodebookSettings } from "./method.ts";
import { runningShare } from "./codebook_losses.ts";

/** Options of re-anchoring. */
export interface ReanchoringOptions {
  /** How anchors are sampled. */
  readonly anchor: AnchorSampling;
  /** γ: the decay of the average usage. */
  readonly decay: number;
  /** ε: keeps α below 1. */
  readonly epsilon: number;
  /** Whether to re-anchor at every training step, or only with the first training batch. */
  readonly online: boolean;
}

/** How codes move: `e_k ← e_k + α_k·(ẑ_k − e_k)`. */
export interface AnchorUpdate {
  /** α, float32 `[K]`, in [0, 1). */
  readonly share: Tensor;
  /** ẑ, float32 `[K, D]`. */
  readonly anchors: Tensor;
}

/** Computes from the average usage how far each code moves, and where to:
 *
 *     N_k ← γ·N_k + (1 − γ)·n_k/N
 *     α_k = exp(−N_k·K·10/(1 − γ) − ε)
 *
 * A code in use has α_k = 0 in float32. A code that was not chosen for a long time has an α_k near 1.
 */
export class Reanchoring extends Module {
  /** N_k, `[K]`: the average share of the features that choose each code; starts at 0. */
  readonly runningUsage: Tensor;
  /** 0 until codes were re-anchored for the first time, then 1. */
  readonly anchored: Counter = new Counter();
  /** The anchors, and their pool if there is one. */
  readonly anchors: Anchors;
  readonly #options: ReanchoringOptions;

  /** Starts with a usage of 0 for every code.
   * @param codebook the settings of the codebook
   * @param key for the pool's initial values
   */
  constructor(
    device: Device,
    codebook: CodebookSettings,
    options: ReanchoringOptions,
    key: RandomKey,
  ) {
    super();
    this.#options = options;
    this.runningUsage = zeros(device, [codebook.codebookSize]);
    this.anchors = makeAnchors(device, options.anchor, codebook, key);
  }

  /** Updates the average usage with a batch.
   * @param codes float32 `[K, D]`
   * @returns undefined after the first batch, if `online` is false
   */
  find({ rows, usage, mask, any, key }: CodebookBatch, codes: Tensor): AnchorUpdate | undefined {
    const { decay, epsilon, online } = this.#options;
    const positions = mask === undefined ? rows.shape[0] : undefined;
    const running = runningShare(this.runningUsage, usage, positions, decay);
    assignIf(any, this.runningUsage, running);
    if (!online && this.anchored.value > 0) return undefined;
    this.anchored.value = 1;
    const anchors = this.anchors.sample(rows, codes, partKey(key, 0), mask);
    const share = exp(sub(mul(running, -codes.shape[0] * 10 / (1 - decay)), epsilon));
    return { share: mul(share, cast(any, "float32")), anchors };
  }
}

/** Interpolates rows: `values + share·(targets − values)`.
 * @param values float32 `[K, ...]`
 * @param targets a number, or float32 of the same shape
 * @param share float32 `[K]`
 */
export function lerpRows(values: Tensor, targets: Operand, share: Tensor): Tensor {
  const ones = values.shape.slice(1).map(() => 1);
  const column = reshape(share, [values.shape[0], ...ones]);
  return add(values.view(), mul(column, sub(targets, values.view())));
}
