/** Rows and codes: reading and summing rows by index, and the nearest code. */
import type { Attributes, Distance, None } from "../../ops.ts";
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

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((total, x, d) => total + x * b[d], 0);
}

/** q·k in float32: the products added in order, each sum rounded once */
function product(q: Float32Array, k: Float32Array): number {
  return q.reduce((total, x, d) => Math.fround(total + x * k[d]), 0);
}

/** (−‖q‖² − ‖k‖²) + 2·q·k in float32 */
function negativeSquaredDistance(q: Float32Array, k: Float32Array): number {
  const norms = Math.fround(-Math.fround(dot(q, q)) - Math.fround(dot(k, k)));
  return Math.fround(norms + 2 * product(q, k));
}

/** x / max(‖x‖, 1e−12) */
function normalized(x: Float32Array): Float32Array {
  const norm = Math.fround(Math.max(Math.sqrt(dot(x, x)), 1e-12));
  return x.map((value) => value / norm);
}

/** Rows of a matrix, for cosines of length 1. */
function rowsOf(values: Float32Array, width: number, distance: Distance): Float32Array[] {
  return Array.from({ length: values.length / width }, (_, row) => {
    const x = values.subarray(row * width, (row + 1) * width);
    return distance === "cos" ? normalized(x) : x;
  });
}

/** out[n] = argmaxₖ similarity(q[n], k[k]) + noise[n, k]; the highest index among equals, 0 if all are NaN. */
const nearest: ReferenceKernel<Attributes["nearest"]> = (
  [features, codes],
  [output],
  { distance, noise },
) => {
  const width = features.shape[1], out = ints(output);
  const queries = rowsOf(floats(features), width, distance);
  const keys = rowsOf(floats(codes), width, distance);
  const words = new Uint32Array(4);
  queries.forEach((q, n) => {
    let best = 0, greatest = -Infinity;
    keys.forEach((key, k) => {
      let value = distance === "l2" ? negativeSquaredDistance(q, key) : product(q, key);
      if (noise !== undefined) {
        if (k % 4 === 0) philox(noise, k / 4, n, words);
        value = Math.fround(value + Math.fround(gumbel(words[k % 4])));
      }
      if (value >= greatest) {
        best = k;
        greatest = value;
      }
    });
    out[n] = best;
  });
};

/** The kernels of rows and codes. */
export const codes = { gather, segmentSum, segmentCount, nearest };
