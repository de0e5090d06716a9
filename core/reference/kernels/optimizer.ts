/** The optimiser's step. */
import type { Attributes } from "../../ops.ts";
import { floats, type ReferenceKernel } from "../buffer.ts";

/** m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p·(1 − decay) − rate·m/(√v/correction + ε) */
const adam: ReferenceKernel<Attributes["adam"]> = (
  [gradient],
  [parameter, firstMoment, secondMoment],
  { rate, beta1, beta2, correction, epsilon, decay },
) => {
  const g = floats(gradient);
  const p = floats(parameter), m = floats(firstMoment), v = floats(secondMoment);
  for (let i = 0; i < g.length; i++) {
    const mean = beta1 * m[i] + (1 - beta1) * g[i];
    const square = beta2 * v[i] + (1 - beta2) * g[i] ** 2;
    p[i] = p[i] * (1 - decay) - rate * mean / (Math.sqrt(square) / correction + epsilon);
    m[i] = mean;
    v[i] = square;
  }
};

/** The optimisers' kernels. */
export const optimizer = { adam };
