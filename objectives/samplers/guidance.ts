/** Classifier-free guidance (arXiv 2207.12598). */
import { add, mul, sub } from "../../core/functions/elementwise.ts";
import type { Tensor } from "../../core/tensor.ts";

/** What a network says of x_t at a time, whatever its output means. */
export type Predict = (x: Tensor, time: number) => Tensor;

/** The prediction of no class, and from there `scale` times the way to the prediction of the class: 0 takes no class, 1
 * the class as it is, more than 1 overdoes what tells it from the others. As the meanings of a network's output are
 * linear in each other, it is the same for all of them.
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
