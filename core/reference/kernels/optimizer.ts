/** The optimiser step. */
import type { Attributes } from "../../ops.ts";
import { floats, type ReferenceKernel } from "../buffer.ts";

/** m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p·(1 − decay) − rate·m/(√v/correction + ε), of every parameter,
 * where g is its gradient + regularization·p */
const adam: ReferenceKernel<Attributes["adam"]> = (
  gradients,
  outputs,
  { rate, beta1, beta2, correction, epsilon, regularization, decay },
) => {
  const count = gradients.length;
  gradients.forEach((gradient, index) => {
    const dp = floats(gradient);
    const [p, m, v] = [0, count, 2 * count].map((first) => floats(outputs[first + index]));
    for (let i = 0; i < p.length; i++) {
      const g = dp[i] + regularization * p[i];
      const mean = beta1 * m[i] + (1 - beta1) * g;
      const square = beta2 * v[i] + (1 - beta2) * g ** 2;
      p[i] = p[i] * (1 - decay) - rate * mean / (Math.sqrt(square) / correction + epsilon);
      m[i] = mean;
      v[i] = square;
    }
  });
};

/** The optimisers' kernels. */
export const optimizer = { adam };
