/** Reductions over the middle axis of `[outer, count, inner]`. */
import type { View } from "../../backend.ts";
import type { Attributes, None } from "../../ops.ts";
import { elements, floats, type ReferenceBuffer, type ReferenceKernel } from "../buffer.ts";

/** Calls `visit` with the elements of every line along the middle axis and the line's number o·inner + i. */
function eachLine(
  operand: View<ReferenceBuffer>,
  visit: (line: Float64Array, number: number) => void,
): void {
  const [outer, count, inner] = operand.shape;
  const x = floats(operand), line = new Float64Array(count);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let c = 0; c < count; c++) line[c] = x[(o * count + c) * inner + i];
      visit(line, o * inner + i);
    }
  }
}

/** out[o, i] = f(x[o, :, i]) */
function reduction<A = None>(
  f: (line: Float64Array, attributes: A) => number,
): ReferenceKernel<A> {
  return ([operand], [output], attributes) => {
    const out = elements(output);
    eachLine(operand, (line, number) => out[number] = f(line, attributes));
  };
}

/** Σ x */
function sum(line: Float64Array): number {
  return line.reduce((total, x) => total + x, 0);
}

/** The maximum; NaN if any is NaN. */
function max(line: Float64Array): number {
  return line.reduce((greatest, x) => Math.max(greatest, x), -Infinity);
}

/** The lowest index of the maximum; NaN is never the maximum; 0 if all are NaN. */
function argmax(line: Float64Array): number {
  let best = -1;
  for (let c = 0; c < line.length; c++) {
    if (!Number.isNaN(line[c]) && (best < 0 || line[c] > line[best])) best = c;
  }
  return Math.max(best, 0);
}

/** ln Σ exp x = m + ln Σ exp(x − m), m the maximum; an infinite m is the result. */
function logsumexp(line: Float64Array): number {
  const m = max(line);
  return Number.isFinite(m) ? m + Math.log(sum(line.map((x) => Math.exp(x - m)))) : m;
}

/** The element of ascending rank `rank`; a typed array sorts by value, NaN last. */
function kthValue(line: Float64Array, { rank }: Attributes["kthValue"]): number {
  return line.toSorted()[rank];
}

/** softmax(x)[c] = exp(x[c] − m) / Σ exp(x − m), m the maximum */
const softmax: ReferenceKernel<None> = ([operand], [output]) => {
  const [, count, inner] = operand.shape;
  const out = floats(output);
  eachLine(operand, (line, number) => {
    const m = max(line);
    const powers = line.map((x) => Math.exp(x - m));
    const total = sum(powers);
    const o = Math.floor(number / inner), i = number % inner;
    for (let c = 0; c < count; c++) out[(o * count + c) * inner + i] = powers[c] / total;
  });
};

/** The reductions. */
export const reductions = {
  sum: reduction(sum),
  max: reduction(max),
  argmax: reduction(argmax),
  logsumexp: reduction(logsumexp),
  softmax,
  kthValue: reduction(kthValue),
};
