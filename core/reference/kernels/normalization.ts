/** Group and layer normalisation over `[batch, positions, channels]`. */
import type { Attributes, GroupNormAttributes } from "../../ops.ts";
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

const sigmoid = (u: number): number => 1 / (1 + Math.exp(-u));

/** y = gain·(x − mean)/σ + shift, then optionally y·sigmoid(y) */
const groupNorm: ReferenceKernel<Attributes["groupNorm"]> = (
  [operand, gains, shifts],
  [output, statistics],
  { groups, epsilon, centred, silu },
) => {
  const x = floats(operand), gain = floats(gains), out = floats(output), kept = floats(statistics);
  const shift = shifts === undefined ? undefined : floats(shifts), channels = gain.length;
  eachGroup(operand.shape, groups, (group, offsets) => {
    const centre = centred ? mean(offsets, (at) => x[at]) : 0;
    const variance = mean(offsets, (at) => (x[at] - centre) ** 2);
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (const at of offsets) {
      const u = (x[at] - centre) * scale * gain[at % channels] + (shift?.[at % channels] ?? 0);
      out[at] = silu ? u * sigmoid(u) : u;
    }
    kept[2 * group] = centre;
    kept[2 * group + 1] = scale;
  });
};

/** Calls `visit` with every group, and functions that give x̂ and g·(dy/du) at an element. */
function eachSlope(
  [operand, statistics, gradient, gains, shifts]: Parameters<ReferenceKernel<unknown>>[0],
  { groups, silu }: GroupNormAttributes,
  visit: (
    offsets: Int32Array,
    inverse: number,
    normalized: (at: number) => number,
    slope: (at: number) => number,
  ) => void,
): void {
  const x = floats(operand), kept = floats(statistics), g = floats(gradient), gain = floats(gains);
  const shift = shifts === undefined ? undefined : floats(shifts), channels = gain.length;
  eachGroup(operand.shape, groups, (group, offsets) => {
    const centre = kept[2 * group], inverse = kept[2 * group + 1];
    const normalized = (at: number) => (x[at] - centre) * inverse;
    const slope = (at: number) => {
      if (!silu) return g[at];
      const u = normalized(at) * gain[at % channels] + (shift?.[at % channels] ?? 0);
      return g[at] * sigmoid(u) * (1 + u * (1 - sigmoid(u)));
    };
    visit(offsets, inverse, normalized, slope);
  });
}

/** With h = g·(dy/du)·gain: dx = (h − mean h − x̂·mean(h·x̂))/σ, without mean h if x was not centred */
const groupNormGradient: ReferenceKernel<Attributes["groupNormGradient"]> = (
  inputs,
  [output],
  attributes,
) => {
  const gain = floats(inputs[3]), out = floats(output);
  eachSlope(inputs, attributes, (offsets, inverse, normalized, slope) => {
    const h = (at: number) => slope(at) * gain[at % gain.length];
    const meanH = attributes.centred ? mean(offsets, h) : 0;
    const meanHX = mean(offsets, (at) => h(at) * normalized(at));
    for (const at of offsets) out[at] = (h(at) - meanH - normalized(at) * meanHX) * inverse;
  });
};

/** The gradient of gain: Σ g·(dy/du)·x̂; of shift: Σ g·(dy/du) */
const groupNormParameterGradient: ReferenceKernel<Attributes["groupNormParameterGradient"]> = (
  inputs,
  [output],
  attributes,
) => {
  const channels = output.shape[1], sums = new Float64Array(2 * channels);
  eachSlope(inputs, attributes, (offsets, _, normalized, slope) => {
    for (const at of offsets) {
      sums[at % channels] += slope(at) * normalized(at);
      sums[channels + at % channels] += slope(at);
    }
  });
  floats(output).set(sums);
};

/** Normalisation and its gradients. */
export const normalization = {
  normalize,
  normalizeGradient,
  groupNorm,
  groupNormGradient,
  groupNormParameterGradient,
};
