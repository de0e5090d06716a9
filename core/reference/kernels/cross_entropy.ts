/** The cross-entropy of rows, and its gradient. */
import type { View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { floats, ints, type ReferenceBuffer, type ReferenceKernel } from "../buffer.ts";

/** Calls `visit` with each row's number, its target, its logits less their maximum, and Σ exp of those. */
function eachRow(
  [logits, targets]: readonly View<ReferenceBuffer>[],
  visit: (row: number, target: number, centred: Float64Array, total: number) => void,
): void {
  const [rows, classes] = logits.shape;
  const x = floats(logits), t = ints(targets);
  for (let row = 0; row < rows; row++) {
    const line = Float64Array.from(x.subarray(row * classes, (row + 1) * classes));
    const greatest = line.reduce((most, value) => Math.max(most, value), -Infinity);
    const centred = line.map((value) => value - greatest);
    visit(row, t[row], centred, centred.reduce((sum, value) => sum + Math.exp(value), 0));
  }
}

/** With z = x − max x: ln Σ exp z − (1 − smoothing)·z[target] − smoothing·mean z; without smoothing the mean is not
 * read, because it may be −∞. */
const crossEntropy: ReferenceKernel<Attributes["crossEntropy"]> = (
  inputs,
  [output],
  { smoothing },
) => {
  const out = floats(output);
  eachRow(inputs, (row, target, z, total) => {
    const mean = smoothing === 0 ? 0 : z.reduce((sum, value) => sum + value, 0) / z.length;
    const own = smoothing === 1 ? 0 : (1 - smoothing) * z[target];
    const loss = Math.log(total) - own - smoothing * mean;
    out[row] = target < 0 ? 0 : target < z.length ? loss : NaN;
  });
};

/** g·(exp z / Σ exp z − smoothing/V − (1 − smoothing)·[v = target]) */
const crossEntropyGradient: ReferenceKernel<Attributes["crossEntropyGradient"]> = (
  [logits, targets, gradient],
  [output],
  { smoothing },
) => {
  const out = floats(output), g = floats(gradient);
  eachRow([logits, targets], (row, target, z, total) => {
    for (let v = 0; v < z.length; v++) {
      const wanted = smoothing / z.length + (v === target ? 1 - smoothing : 0);
      const slope = g[row] * (Math.exp(z[v]) / total - wanted);
      out[row * z.length + v] = target < 0 ? 0 : target < z.length ? slope : NaN;
    }
  });
};

/** The kernels of the cross-entropy. */
export const crossEntropies = { crossEntropy, crossEntropyGradient };
