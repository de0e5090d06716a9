/** Classifier-free guidance (arXiv 2207.12598). */
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";

/** The prediction of a network for x_t at a timestep, for any kind of prediction. */
export type Predict = (x: Tensor, time: number) => Tensor;

/** Moves from the prediction without a class `scale` times the way to the prediction with the class: 0 ignores the
 * class, 1 uses it as it is, and more exaggerates what distinguishes the class from the others. The kinds of prediction
 * are linear in each other, so the result is the same for all of them.
 *
 * ```ts
 * import { guide, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const of = (value: number) => () => device.tensor([value], [1]);
 * const predict = guide(of(3), of(1), 2);
 * assert.equal(await predict(of(0)(), 0).item(), 5);
 * ```
 */
export function guide(ofClass: Predict, ofNone: Predict, scale: number): Predict {
  if (scale === 1) return ofClass;
  if (scale === 0) return ofNone;
  return (x, time) => {
    const none = ofNone(x, time);
    return add(none, mul(sub(ofClass(x, time), none), scale));
  };
}
