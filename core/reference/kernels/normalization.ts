/** Group and layer normalisation over `[batch, positions, channels]`. */
import type { Attributes } from "../../ops.ts";
import type { Shape } from "../../shape.ts";
import { floats, type ReferenceKernel } from "../buffer.ts";

/** Calls `visit` with every group's number b·G + k and the offsets of its elements: all positions, and its
 * C/G neighbouring channels. */
function eachGroup(
  [batch, positions, channels]: Shape,
  groups: number,
  visit: (group: number, offsets: Int32Array) => void,
): void {
  const width = channels / groups;
  const offsets = new Int32Array(positions * width);
  for (let b = 0; b < batch; b++) {
    for (let k = 0; k < groups; k++) {
      for (let s = 0; s < positions; s++) {
        for (let c = 0; c < width; c++) {
          offsets[s * width + c] = (b * positions + s) * channels + k * width + c;
        }
      }
      visit(b * groups + k, offsets);
    }
  }
}

/** The mean of f over a group's elements. */
function mean(offsets: Int32Array, f: (at: number) => number): number {
  return offsets.reduce((total, at) => total + f(at), 0) / offsets.length;
}

/** x̂ = (x − mean)/σ and 1/σ, σ² = mean((x − mean)²) + epsilon */
const normalize: ReferenceKernel<Attributes["normalize"]> = (
  [operand],
  [output, inverses],
  { groups, epsilon },
) => {
  const x = floats(operand), out = floats(output), inverse = floats(inverses);
  eachGroup(operand.shape, groups, (group, offsets) => {
    const centre = mean(offsets, (at) => x[at]);
    const variance = mean(offsets, (at) => (x[at] - centre) ** 2);
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (const at of offsets) out[at] = (x[at] - centre) * scale;
    inverse[group] = scale;
  });
};

/** dx = (g − mean g − x̂·mean(g·x̂))/σ */
const normalizeGradient: ReferenceKernel<Attributes["normalizeGradient"]> = (
  [normalized, inverses, gradient],
  [output],
  { groups },
) => {
  const x = floats(normalized), inverse = floats(inverses), g = floats(gradient);
  const out = floats(output);
  eachGroup(normalized.shape, groups, (group, offsets) => {
    const meanG = mean(offsets, (at) => g[at]);
    const meanGX = mean(offsets, (at) => g[at] * x[at]);
    for (const at of offsets) out[at] = (g[at] - meanG - x[at] * meanGX) * inverse[group];
  });
};

/** Normalisation and its gradient. */
export const normalization = { normalize, normalizeGradient };
