/** Elementwise functions. Operands broadcast as in NumPy (aligned at the last axis); numbers count as scalars. */
import { apply } from "../execute.ts";
import type { DType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { full } from "./creation.ts";

/** A tensor, or a number, which counts as a scalar of the other operand's dtype. */
export type Operand = Tensor | number;

type Binary =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "maximum"
  | "minimum"
  | "equal"
  | "notEqual"
  | "less"
  | "lessEqual"
  | "greater"
  | "greaterEqual";

function binary(name: Binary, a: Operand, b: Operand): Tensor {
  const like = a instanceof Tensor ? a : b;
  if (!(like instanceof Tensor)) {
    throw new TypeError(`Cannot ${name}: one operand must be a tensor, got two numbers`);
  }
  const lift = (operand: Operand) =>
    operand instanceof Tensor ? operand : full(like.device, [], operand, like.dtype);
  return apply(name, [lift(a), lift(b)], {});
}

function isFloat(operand: Operand): operand is Tensor {
  return operand instanceof Tensor && operand.dtype === "float32";
}

/** a + b, float32 or int32.
 *
 * ```ts
 * import { add, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const row = device.tensor([1, 2], [2]);
 * const column = device.tensor([10, 20], [2, 1]);
 * assert.deepEqual([...await add(row, column).floats()], [11, 12, 21, 22]);
 * ```
 * @throws {TypeError} the shapes do not broadcast, or the dtypes differ
 */
export function add(a: Operand, b: Operand): Tensor {
  if (isFloat(a) && typeof b === "number") return apply("affine", [a], { scale: 1, shift: b });
  if (isFloat(b) && typeof a === "number") return apply("affine", [b], { scale: 1, shift: a });
  return binary("add", a, b);
}

/** a − b, float32 or int32. */
export function sub(a: Operand, b: Operand): Tensor {
  if (isFloat(a) && typeof b === "number") return apply("affine", [a], { scale: 1, shift: -b });
  if (isFloat(b) && typeof a === "number") return apply("affine", [b], { scale: -1, shift: a });
  return binary("sub", a, b);
}

/** a · b elementwise, float32 or int32. */
export function mul(a: Operand, b: Operand): Tensor {
  if (isFloat(a) && typeof b === "number") return apply("affine", [a], { scale: b, shift: 0 });
  if (isFloat(b) && typeof a === "number") return apply("affine", [b], { scale: a, shift: 0 });
  return binary("mul", a, b);
}

/** a / b, float32. */
export function div(a: Operand, b: Operand): Tensor {
  return binary("div", a, b);
}

/** a to the power b, float32. */
export function pow(a: Operand, b: Operand): Tensor {
  return binary("pow", a, b);
}

/** The larger of a and b; on a tie both share the gradient. */
export function maximum(a: Operand, b: Operand): Tensor {
  return binary("maximum", a, b);
}

/** The smaller of a and b; on a tie both share the gradient. */
export function minimum(a: Operand, b: Operand): Tensor {
  return binary("minimum", a, b);
}

/** a = b as int32 0 or 1. */
export function equal(a: Operand, b: Operand): Tensor {
  return binary("equal", a, b);
}

/** a ≠ b as int32 0 or 1. */
export function notEqual(a: Operand, b: Operand): Tensor {
  return binary("notEqual", a, b);
}

/** a < b as int32 0 or 1. */
export function less(a: Operand, b: Operand): Tensor {
  return binary("less", a, b);
}

/** a ≤ b as int32 0 or 1. */
export function lessEqual(a: Operand, b: Operand): Tensor {
  return binary("lessEqual", a, b);
}

/** a > b as int32 0 or 1. */
export function greater(a: Operand, b: Operand): Tensor {
  return binary("greater", a, b);
}

/** a ≥ b as int32 0 or 1. */
export function greaterEqual(a: Operand, b: Operand): Tensor {
  return binary("greaterEqual", a, b);
}

/** a where the condition (int32) is not 0, else b; all three broadcast. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const dtype = a instanceof Tensor ? a.dtype : b instanceof Tensor ? b.dtype : "float32";
  const lift = (operand: Operand) =>
    operand instanceof Tensor ? operand : full(condition.device, [], operand, dtype);
  return apply("where", [condition, lift(a), lift(b)], {});
}

/** −x. */
export function neg(x: Tensor): Tensor {
  return apply("affine", [x], { scale: -1, shift: 0 });
}

/** eˣ. */
export function exp(x: Tensor): Tensor {
  return apply("exp", [x], {});
}

/** Natural logarithm; NaN below 0, −∞ at 0. */
export function log(x: Tensor): Tensor {
  return apply("log", [x], {});
}

/** Square root; NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return apply("sqrt", [x], {});
}

/** x². */
export function square(x: Tensor): Tensor {
  return apply("square", [x], {});
}

/** |x|; the gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return apply("abs", [x], {});
}

/** −1, 0 or 1; gradients do not pass. */
export function sign(x: Tensor): Tensor {
  return apply("sign", [x], {});
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return apply("tanh", [x], {});
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return apply("sigmoid", [x], {});
}

/** The error function, 2/√π ∫₀ˣ e^(−t²) dt. */
export function erf(x: Tensor): Tensor {
  return apply("erf", [x], {});
}

/** max(x, 0); the gradient at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return apply("relu", [x], {});
}

/** x where positive, else slope·x. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return apply("leakyRelu", [x], { slope });
}

/** x·sigmoid(x) (arXiv 1702.03118). */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}

/** x·Φ(x), Φ the exact standard normal cumulative distribution function (arXiv 1606.08415). */
export function gelu(x: Tensor): Tensor {
  return apply("gelu", [x], {});
}

/** x clamped to [low, high]; gradients pass only inside.
 * @throws {RangeError} low exceeds high
 */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  return apply("clamp", [x], { low, high });
}

/** Converts the values to another dtype; int32 truncates towards zero. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return apply("cast", [x], { dtype });
}
