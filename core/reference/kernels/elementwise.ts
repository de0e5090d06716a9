/** Elementwise operations: each output element is a function of the operands' elements at its position. */
import type { None } from "../../ops.ts";
import { broadcastStrides } from "../../shape.ts";
import { elements, floats, ints, type ReferenceKernel } from "../buffer.ts";
import { offsetsOf } from "../offsets.ts";

/** out[i] = f(x[i]) */
function unary<A = None>(f: (x: number, attributes: A) => number): ReferenceKernel<A> {
  return ([operand], [output], attributes) => {
    const x = floats(operand), out = floats(output);
    for (let i = 0; i < out.length; i++) out[i] = f(x[i], attributes);
  };
}

/** out[i] = f(a[i], b[i]), with broadcasting; integers have a separate function. */
function binary(
  f: (a: number, b: number) => number,
  onIntegers = f,
): ReferenceKernel<None> {
  return ([left, right], [output]) => {
    const a = elements(left), b = elements(right), out = elements(output);
    const atA = offsetsOf(output.shape, broadcastStrides(left.shape, output.shape));
    const atB = offsetsOf(output.shape, broadcastStrides(right.shape, output.shape));
    const chosen = left.dtype === "int32" ? onIntegers : f;
    for (let i = 0; i < out.length; i++) out[i] = chosen(a[atA[i]], b[atB[i]]);
  };
}

const comparison = (holds: (a: number, b: number) => boolean) =>
  binary((a, b) => Number(holds(a, b)));

/** erf x = 2/√π · e^(−x²) · Σₙ 2ⁿ x^(2n+1) / (1·3·5···(2n+1)); every term has x's sign, so nothing cancels. */
function erf(x: number): number {
  if (!(Math.abs(x) <= 6)) return Math.sign(x); // 1 to the last bit; NaN stays NaN
  let term = x, sum = 0;
  for (let n = 0; sum + term !== sum; n++) {
    sum += term;
    term *= 2 * x * x / (2 * n + 3);
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

/** Φ(x), the standard normal cumulative distribution function. */
function normalShare(x: number): number {
  return 0.5 + 0.5 * erf(x * Math.SQRT1_2);
}

/** Truncates towards zero, saturates at the ends of int32, and turns NaN into 0. */
function toInteger(x: number): number {
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1);
}

const where: ReferenceKernel<None> = ([condition, left, right], [output]) => {
  const chooses = ints(condition), a = elements(left), b = elements(right), out = elements(output);
  const [atCondition, atA, atB] = [condition, left, right].map(({ shape }) =>
    offsetsOf(output.shape, broadcastStrides(shape, output.shape))
  );
  for (let i = 0; i < out.length; i++) {
    out[i] = chooses[atCondition[i]] !== 0 ? a[atA[i]] : b[atB[i]];
  }
};

const reluGradient: ReferenceKernel<None> = ([activation, gradient], [output]) => {
  const y = floats(activation), g = floats(gradient), out = floats(output);
  for (let i = 0; i < out.length; i++) out[i] = y[i] > 0 ? g[i] : 0;
};

/** g·(Φ(x) + x·φ(x)) */
const geluGradient: ReferenceKernel<None> = ([operand, gradient], [output]) => {
  const x = floats(operand), g = floats(gradient), out = floats(output);
  for (let i = 0; i < out.length; i++) {
    const density = Math.exp(-0.5 * x[i] * x[i]) / Math.sqrt(2 * Math.PI);
    out[i] = g[i] * (normalShare(x[i]) + x[i] * density);
  }
};

const cast: ReferenceKernel<unknown> = ([operand], [output]) => {
  const x = elements(operand), out = elements(output);
  const truncates = output.dtype === "int32";
  for (let i = 0; i < out.length; i++) out[i] = truncates ? toInteger(x[i]) : x[i];
};

/** The elementwise kernels. float32 results are computed in float64 and rounded once; int32 results wrap. */
export const elementwise = {
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b, Math.imul),
  div: binary((a, b) => a / b),
  pow: binary(Math.pow),
  maximum: binary((a, b) => Math.max(a, b)),
  minimum: binary((a, b) => Math.min(a, b)),
  equal: comparison((a, b) => a === b),
  notEqual: comparison((a, b) => a !== b),
  less: comparison((a, b) => a < b),
  lessEqual: comparison((a, b) => a <= b),
  greater: comparison((a, b) => a > b),
  greaterEqual: comparison((a, b) => a >= b),
  where,
  exp: unary((x) => Math.exp(x)),
  log: unary((x) => Math.log(x)),
  sqrt: unary((x) => Math.sqrt(x)),
  square: unary((x) => x * x),
  abs: unary((x) => Math.abs(x)),
  sign: unary((x) => Math.sign(x)),
  tanh: unary((x) => Math.tanh(x)),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  erf: unary(erf),
  gelu: unary((x) => x * normalShare(x)),
  relu: unary((x) => Math.max(x, 0)),
  leakyRelu: unary<{ readonly slope: number }>((x, { slope }) => x > 0 ? x : slope * x),
  clamp: unary<{ readonly low: number; readonly high: number }>(
    (x, { low, high }) => Math.min(Math.max(x, low), high),
  ),
  affine: unary<{ readonly scale: number; readonly shift: number }>(
    (x, { scale, shift }) => x * scale + shift,
  ),
  reluGradient,
  geluGradient,
  cast,
};
