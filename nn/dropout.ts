/** Dropout. */
import { uniform } from "../core/functions/creation.ts";
import { greaterEqual, mul, where } from "../core/functions/elementwise.ts";
import type { Tensor } from "../core/tensor.ts";
import { type Context, Layer } from "./module.ts";
import { drawOwnRows, SINGLE } from "./replicas.ts";

/** In training, sets each element to 0 with probability `rate` and divides the others by 1 − `rate` (Srivastava et al.
 * 2014). In evaluation, changes nothing. The context's key determines which elements are dropped, the same on every
 * device and for any number of processes that share a batch.
 *
 * ```ts
 * import { Dropout, openDevice, randomKey } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = new Dropout(0.5);
 * const x = device.tensor([1, 1, 1, 1], [4]);
 * const context = { training: true, key: randomKey(1, "dropout") };
 * assert.ok((await layer.forward(x, context).floats()).every((y) => y === 0 || y === 2));
 * assert.deepEqual(await layer.forward(x).floats(), await x.floats());
 * ```
 */
export class Dropout extends Layer {
  readonly #rate: number;

  /** Makes the layer.
   * @param rate the probability that an element is dropped
   * @throws {RangeError} it is not in [0, 1)
   */
  constructor(rate: number) {
    super();
    if (!(rate >= 0 && rate < 1)) {
      throw new RangeError(`Cannot make a dropout: the rate must be in [0, 1), got ${rate}`);
    }
    this.#rate = rate;
  }

  /** Any shape → the same shape. */
  forward(x: Tensor, context?: Context): Tensor {
    if (this.#rate === 0 || !context?.training) return x;
    const { key, replicas = SINGLE } = context;
    const drawn = drawOwnRows(x.shape, replicas, (shape) => uniform(x.device, shape, key));
    const factors = where(greaterEqual(drawn, this.#rate), 1 / (1 - this.#rate), 0);
    return mul(x, factors);
  }
}
