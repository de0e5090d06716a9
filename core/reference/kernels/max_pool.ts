/** Max pooling and its gradient. */
import type { PoolAttributes } from "../../ops.ts";
import { floats, type ReferenceKernel } from "../buffer.ts";
import { eachPooled } from "./movement.ts";

/** y[b, p, q, c] = max x[b, h, w, c] over the window; NaN if any is NaN. */
const maxPool: ReferenceKernel<PoolAttributes> = ([operand], [output], attributes) => {
  const x = floats(operand), out = floats(output).fill(-Infinity);
  eachPooled(operand.shape, output.shape, attributes, (atImage, atPooled) => {
    out[atPooled] = Math.max(out[atPooled], x[atImage]);
  });
};

/** x[b, h, w, c] = Σ g[b, p, q, c] over the windows in which (h, w) is the first maximum in row order. */
const maxPoolGradient: ReferenceKernel<PoolAttributes> = (
  [operand, pooled, gradient],
  [output],
  attributes,
) => {
  const x = floats(operand), y = floats(pooled), g = floats(gradient);
  const sums = new Float64Array(x.length), given = new Set<number>();
  eachPooled(operand.shape, pooled.shape, attributes, (atImage, atPooled) => {
    if (given.has(atPooled) || x[atImage] !== y[atPooled]) return;
    given.add(atPooled);
    sums[atImage] += g[atPooled];
  });
  floats(output).set(sums);
};

/** The kernels of max pooling. */
export const maxPooling = { maxPool, maxPoolGradient };
