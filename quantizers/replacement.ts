/** Replacement of dead codes by features of the batch. */
import { full, ones, zeros } from "../core/functions/creation.ts";
import { add, cast, less, mul, where } from "../core/functions/elementwise.ts";
import { gather, nearest } from "../core/functions/indexing.ts";
import { reshape } from "../core/functions/movement.ts";
import { permutation, type RandomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { Module } from "../nn/module.ts";
import { assignIf, fillRows, usableRows } from "./finite_features.ts";

/** Draws rows uniformly. Without a mask, each row is drawn at most once while there are enough; with a mask, rows are
 * drawn with replacement. A drawn row that is not finite is replaced by one that is.
 * @param rows float32 `[N, D]`
 * @param count how many rows to draw
 * @param mask int32 `[N]`: 0 excludes a row
 * @returns float32 `[count, D]`; zeros if there is no row to draw
 */
export function randomRows(rows: Tensor, count: number, key: RandomKey, mask?: Tensor): Tensor {
  const { device, shape: [total] } = rows;
  if (mask === undefined) {
    const order = permutation(key, total);
    const chosen = Int32Array.from({ length: count }, (_, index) => order[index % total]);
    return gather(fillRows(rows), device.tensor(chosen, [count]));
  }
  // All rows are equally similar, so Gumbel noise decides. NaN is never the nearest.
  const usable = usableRows(rows, mask);
  const present = reshape(where(usable.present, 0, NaN), [total, 1]);
  const drawn = nearest(zeros(device, [count, 1]), present, { distance: "l2", noise: key });
  return gather(usable.rows, drawn);
}

/** Options of `DeadCodes`. */
export interface ReplacementOptions {
  /** A code is dead if its average count per batch is below this. */
  readonly replaceBelow: number;
  /** γ: the decay of the average count. */
  readonly countDecay: number;
}

/** Finds dead codes by an exponential moving average of the number of features per batch that are assigned to each code
 * ("hard encoded features", after Jukebox, arXiv 2005.00341):
 *
 *     N_k ← γ·N_k + (1 − γ)·n_k;  dead: N_k < threshold
 *
 * A count starts at the threshold, and is reset to it when its code is replaced. So a code that is not chosen in its
 * first batch is dead. With fewer features per batch than K times the threshold, some codes are always dead.
 *
 * ```ts
 * import { DeadCodes, openDevice } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const dead = new DeadCodes(device, 3, { replaceBelow: 1, countDecay: 0.99 });
 * console.log(await dead.find(device.tensor(Int32Array.of(4, 0, 1), [3])).integers()); // 0, 1, 0
 * ```
 */
export class DeadCodes extends Module {
  /** N_k, float32 `[K]`. */
  readonly runningCount: Tensor;
  readonly #options: ReplacementOptions;

  /** Sets all counts to the threshold. */
  constructor(device: Device, codebookSize: number, options: ReplacementOptions) {
    super();
    this.#options = options;
    this.runningCount = full(device, [codebookSize], options.replaceBelow);
  }

  /** Counts a batch, and resets the counts of dead codes.
   * @param usage int32 `[K]`, the batch's counts
   * @param any int32 `[1]`: 0 for a batch without features, which changes nothing; by default 1
   * @returns int32 `[K]`: 1 for a dead code
   */
  find(usage: Tensor, any: Tensor = ones(usage.device, [1], "int32")): Tensor {
    const { replaceBelow, countDecay } = this.#options;
    const counts = mul(cast(usage, "float32"), 1 - countDecay);
    const running = add(mul(this.runningCount, countDecay), counts);
    const dead = mul(less(running, replaceBelow), any);
    assignIf(any, this.runningCount, where(dead, replaceBelow, running));
    return dead;
  }
}
