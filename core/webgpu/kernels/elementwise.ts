/** Elementwise kernels: one or more operands, broadcast. */
import type { ElementwiseName } from "../../ops.ts";
import type { Kernels, View } from "../../backend.ts";
import { broadcastStrides, type DType, sizeOf } from "../../shape.ts";
import { type FloatFunction, floatFunctions } from "../float_functions.ts";
import { floatBits, type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { mergeAxes } from "../../walk.ts";
import { walkKey, walksByFour, walkWgsl } from "../strides.ts";

type Gpu = View<WebGpuBuffer>;
type Numbers = Readonly<Record<string, number>>;

/** What an elementwise kernel computes from its operands a, b and c. */
interface Formula {
  /** The key of its shaders. */
  readonly name: string;
  /** A WGSL expression over a, b, c and the `numbers`. */
  readonly expression: string;
  /** Functions that the expression calls. */
  readonly functions?: readonly FloatFunction[];
  /** Float numbers that the expression uses, as `numbers.name`. */
  readonly numbers?: Numbers;
}

const OPERANDS = ["a", "b", "c"];

function elementType(dtype: DType, width: number): string {
  const scalar = dtype === "float32" ? "f32" : "i32";
  return width === 1 ? scalar : `vec4<${scalar}>`;
}

/** Launches a formula over the broadcast of its operands. */
export function mapElements(
  launcher: Launcher,
  formula: Formula,
  inputs: readonly Gpu[],
  output: Gpu,
): void {
  const strides = [...inputs, output].map(({ shape }) => broadcastStrides(shape, output.shape));
  const walk = mergeAxes(output.shape, strides);
  const width = walksByFour(walk) ? 4 : 1;
  const count = Math.ceil(sizeOf(output.shape) / width);
  const numbers = formula.numbers ?? {};
  const dtypes = [...inputs, output].map(({ dtype }) => dtype);
  const still = inputs.map((_, operand) => walk.strides[operand].at(-1) === 0);
  launcher.launch({
    key: `${formula.name}/${dtypes.join(",")}/${walkKey(walk, width)}`,
    shader: () => ({
      inputs: inputs.map(({ dtype }, operand) =>
        `data_${OPERANDS[operand]}: ${elementType(dtype, still[operand] ? 1 : width)}`
      ),
      outputs: [`data_out: ${elementType(output.dtype, width)}`],
      numbers: ["count: u32", ...Object.keys(numbers).map((name) => `${name}: f32`)],
      declarations: floatFunctions(width, formula.functions ?? []),
      workgroupSize: WORKGROUP_SIZE,
      body: [
        "  if (index >= numbers.count) { return; }",
        walkWgsl(walk, width),
        ...inputs.map(({ dtype }, operand) => {
          const name = OPERANDS[operand];
          return `  let ${name} = ${elementType(dtype, width)}(data_${name}[at${operand}]);`;
        }),
        `  data_out[at${inputs.length}] = ${formula.expression};`,
      ].join("\n"),
    }),
    inputs: inputs.map(({ buffer }) => buffer),
    outputs: [output.buffer],
    numbers: [count, ...Object.values(numbers).map(floatBits)],
    workgroups: workgroupsFor(count),
  });
}

// Written out, because WGSL's max and min may ignore a NaN.
const EXTREMA = { maximum: ">", minimum: "<" } as const;

type Table = Pick<Kernels<WebGpuBuffer>, ElementwiseName>;

// To int32: rounds towards zero, saturates, and NaN becomes 0.
const TO_INTEGER =
  "select(select(select(I(a), I(2147483647), a >= F(2147483648.0)), I(-2147483647) - I(1), a < F(-2147483648.0)), I(0), is_nan(a))";

// Φ(a), the normal distribution function.
const NORMAL_SHARE = "(F(0.5) + F(0.5) * error_function(a * F(0.70710678)))";

/** The elementwise kernels. */
export function elementwiseKernels(launcher: Launcher): Table {
  const run = (formula: Formula, inputs: readonly Gpu[], outputs: readonly Gpu[]) =>
    mapElements(launcher, formula, inputs, outputs[0]);
  const fixed = (name: string, formula: Omit<Formula, "name">) => {
    const whole = { name, ...formula };
    return (inputs: readonly Gpu[], outputs: readonly Gpu[]) => run(whole, inputs, outputs);
  };
  const extremum = (name: keyof typeof EXTREMA) => {
    const winner = `select(b, a, a ${EXTREMA[name]} b)`;
    const floats = fixed(name, {
      expression: `select(select(${winner}, b, is_nan(b)), a, is_nan(a))`,
      functions: ["special"],
    });
    const integers = fixed(name, { expression: winner });
    return (inputs: readonly Gpu[], outputs: readonly Gpu[]) =>
      (inputs[0].dtype === "float32" ? floats : integers)(inputs, outputs);
  };
  const comparison = (name: string, holds: string, holdsWithNan: boolean) => {
    const unordered = "is_nan(a) | is_nan(b)";
    const floats = fixed(name, {
      expression: `select(I(0), I(1), ${
        holdsWithNan ? `(${holds}) | ${unordered}` : `(${holds}) & !(${unordered})`
      })`,
      functions: ["special"],
    });
    const integers = fixed(name, { expression: `select(I(0), I(1), ${holds})` });
    return (inputs: readonly Gpu[], outputs: readonly Gpu[]) =>
      (inputs[0].dtype === "float32" ? floats : integers)(inputs, outputs);
  };
  return {
    add: fixed("add", { expression: "a + b" }),
    sub: fixed("sub", { expression: "a - b" }),
    mul: fixed("mul", { expression: "a * b" }),
    div: fixed("div", { expression: "a / b" }),
    pow: fixed("pow", { expression: "power(a, b)", functions: ["power"] }),
    maximum: extremum("maximum"),
    minimum: extremum("minimum"),
    equal: comparison("equal", "a == b", false),
    notEqual: comparison("notEqual", "a != b", true),
    less: comparison("less", "a < b", false),
    lessEqual: comparison("lessEqual", "a <= b", false),
    greater: comparison("greater", "a > b", false),
    greaterEqual: comparison("greaterEqual", "a >= b", false),
    where: fixed("where", { expression: "select(c, b, a != I(0))" }),
    exp: fixed("exp", { expression: "exponential(a)", functions: ["exponential"] }),
    log: fixed("log", { expression: "logarithm(a)", functions: ["logarithm"] }),
    sqrt: fixed("sqrt", { expression: "sqrt(a)" }),
    square: fixed("square", { expression: "a * a" }),
    abs: fixed("abs", { expression: "abs(a)" }),
    sign: fixed("sign", { expression: "select(sign(a), a, is_nan(a))", functions: ["special"] }),
    tanh: fixed("tanh", { expression: "hyperbolic_tangent(a)", functions: ["hyperbolicTangent"] }),
    sigmoid: fixed("sigmoid", { expression: "logistic(a)", functions: ["logistic"] }),
    erf: fixed("erf", { expression: "error_function(a)", functions: ["errorFunction"] }),
    gelu: fixed("gelu", { expression: `a * ${NORMAL_SHARE}`, functions: ["errorFunction"] }),
    geluGradient: fixed("geluGradient", {
      expression: `b * (${NORMAL_SHARE} + a * exponential(F(-0.5) * a * a) * F(0.39894228))`,
      functions: ["errorFunction", "exponential"],
    }),
    relu: fixed("relu", {
      expression: "select(select(F(0.0), a, a > F(0.0)), a, is_nan(a))",
      functions: ["special"],
    }),
    leakyRelu: (inputs, outputs, { slope }) =>
      run(
        {
          name: "leakyRelu",
          expression: "select(a * numbers.slope, a, a > F(0.0))",
          numbers: { slope },
        },
        inputs,
        outputs,
      ),
    clamp: (inputs, outputs, { low, high }) =>
      run(
        {
          name: "clamp",
          expression:
            "select(select(select(a, F(numbers.high), a > F(numbers.high)), F(numbers.low), a < F(numbers.low)), a, is_nan(a))",
          functions: ["special"],
          numbers: { low, high },
        },
        inputs,
        outputs,
      ),
    affine: (inputs, outputs, { scale, shift }) =>
      run(
        {
          name: "affine",
          expression: "a * numbers.scale + F(numbers.shift)",
          numbers: { scale, shift },
        },
        inputs,
        outputs,
      ),
    reluGradient: fixed("reluGradient", { expression: "select(F(0.0), b, a > F(0.0))" }),
    cast: (inputs, outputs, { dtype }) => {
      const from = inputs[0].dtype;
      if (from === dtype) run({ name: "same", expression: "a" }, inputs, outputs);
      else if (dtype === "float32") run({ name: "toFloat", expression: "F(a)" }, inputs, outputs);
      else {
        run(
          { name: "toInteger", expression: TO_INTEGER, functions: ["special"] },
          inputs,
          outputs,
        );
      }
    },
  };
}
