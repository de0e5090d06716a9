/** Rows and codes: reading and summing rows by index, and the nearest code. */
import type { Attributes, None } from "../../ops.ts";
import { gumbel, philox } from "../../random.ts";
import { elements, floats, ints, type ReferenceKernel } from "../buffer.ts";

/** out[i, d] = table[indices[i], d]; zeros where the index is out of range. */
const gather: ReferenceKernel<None> = ([rows, chosen], [output]) => {
  const [count, width] = rows.shape;
  const table = elements(rows), indices = ints(chosen), out = elements(output).fill(0);
  indices.forEach((row, i) => {
    if (row < 0 || row >= count) return;
    for (let d = 0; d < width; d++) out[i * width + d] = table[row * width + d];
  });
};

/** out[s, d] = Σ values[i, d] over the i with indices[i] = s, in order of i. */
const segmentSum: ReferenceKernel<Attributes["segmentSum"]> = (
  [rows, chosen],
  [output],
  { segments },
) => {
  const width = rows.shape[1];
  const values = floats(rows), indices = ints(chosen);
  const sums = new Float64Array(segments * width);
  indices.forEach((segment, i) => {
    if (segment < 0 || segment >= segments) return;
    for (let d = 0; d < width; d++) sums[segment * width + d] += values[i * width + d];
  });
  floats(output).set(sums);
};

/** out[s] = how many i have indices[i] = s. */
const segmentCount: ReferenceKernel<Attributes["segmentCount"]> = (
  [chosen],
  [output],
  { segments },
) => {
  const counts = ints(output).fill(0);
  for (const segment of ints(chosen)) {
    if (segment >= 0 && segment < segments) counts[segment]++;
  }
};

/** −‖q − k‖² */
function negativeSquaredDistance(q: Float32Array, k: Float32Array): number {
  return -q.reduce((total, x, d) => total + (x - k[d]) ** 2, 0);
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((total, x, d) => total + x * b[d], 0);
}

/** q·k / (max(‖q‖, 1e−12)·max(‖k‖, 1e−12)) */
function cosine(q: Float32Array, k: Float32Array): number {
  const norm = (v: Float32Array) => Math.max(Math.sqrt(dot(v, v)), 1e-12);
  return dot(q, k) / (norm(q) * norm(k));
}

/** out[n] = argmaxₖ similarity(q[n], k[k]) + noise[n, k]; the lowest index among equals, 0 where all are NaN. */
const nearest: ReferenceKernel<Attributes["nearest"]> = (
  [features, codes],
  [output],
  { distance, noise },
) => {
  const [count, width] = features.shape, size = codes.shape[0];
  const queries = floats(features), keys = floats(codes), out = ints(output);
  const similarity = distance === "l2" ? negativeSquaredDistance : cosine;
  const words = new Uint32Array(4);
  for (let n = 0; n < count; n++) {
    const q = queries.subarray(n * width, (n + 1) * width);
    let best = -1, greatest = NaN;
    for (let k = 0; k < size; k++) {
      let value = similarity(q, keys.subarray(k * width, (k + 1) * width));
      if (noise !== undefined) {
        if (k % 4 === 0) philox(noise, k / 4, n, words);
        value += gumbel(words[k % 4]);
      }
      if (!Number.isNaN(value) && (best < 0 || value > greatest)) {
        best = k;
        greatest = value;
      }
    }
    out[n] = Math.max(best, 0);
  }
};

/** The kernels of rows and codes. */
export const codes = { gather, segmentSum, segmentCount, nearest };
