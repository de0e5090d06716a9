/** Elementwise kernels: up to three operands, broadcast. */
import type { Kernel, Kernels, View } from "../../backend.ts";
import type { ElementwiseName, None } from "../../ops.ts";
import { broadcastStrides, type DType, sizeOf } from "../../shape.ts";
import { mergeAxes } from "../../walk.ts";
import type { MapName } from "../exports.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Cpu = View<CpuBuffer>;
type Inputs = readonly Cpu[];

type Table = Pick<Kernels<CpuBuffer>, ElementwiseName>;

const WALK_TABLE = 16; // in words: where the module expects the outer axes
const MOST_AXES = 100;

/** Describes the walk over the broadcast operands (at most three) to the module: class `Elementwise` there. */
function describeWalk(machine: Machine, inputs: Inputs, output: Cpu): void {
  const strides = inputs.map(({ shape }) => broadcastStrides(shape, output.shape));
  const walk = mergeAxes(output.shape, [...strides, broadcastStrides(output.shape, output.shape)]);
  const outer = walk.sizes.length - 1;
  if (outer > MOST_AXES) {
    throw new RangeError(
      `Cannot broadcast on cpu: at most ${MOST_AXES} axes may differ, got ${outer}`,
    );
  }
  const operand = (index: number) => inputs[index] ?? output;
  const step = (index: number, axis: number) => walk.strides[index]?.[axis] ?? 0;
  const operands = [0, 1, 2];
  machine.describe([
    sizeOf(output.shape),
    walk.sizes[outer],
    outer,
    output.buffer.address,
    ...operands.map((index) => operand(index).buffer.address),
    ...operands.map((index) => step(index, outer)),
  ]);
  const axes = Array.from({ length: outer }, (_, nearest) => outer - 1 - nearest);
  machine.describe(
    axes.flatMap((axis) => [walk.sizes[axis], ...operands.map((index) => step(index, axis) * 4)]),
    WALK_TABLE,
  );
}

/** The elementwise kernels. */
export function elementwiseKernels(machine: Machine): Table {
  const unary = (name: MapName, [a]: Inputs, [output]: Inputs, p = 0, q = 0): void => {
    const count = sizeOf(output.shape);
    const { address } = output.buffer;
    machine.describe([count, count, 0, address, a.buffer.address, 0, 0, 1, 1, 1]);
    machine.describeFloats([p, q], 10);
    machine.exports[name]();
  };
  const plain = (name: MapName): Kernel<None, CpuBuffer> => (inputs, outputs) =>
    unary(name, inputs, outputs);
  const walked =
    (onFloats: MapName, onIntegers = onFloats): Kernel<None, CpuBuffer> => (inputs, [output]) => {
      describeWalk(machine, inputs, output);
      machine.exports[inputs[0].dtype === "float32" ? onFloats : onIntegers]();
    };
  const casts: Readonly<Record<DType, Readonly<Record<DType, MapName>>>> = {
    float32: { float32: "mapSame", int32: "mapToInteger" },
    int32: { float32: "mapToFloat", int32: "mapSame" },
  };
  return {
    add: walked("mapAdd", "mapAddIntegers"),
    sub: walked("mapSub", "mapSubIntegers"),
    mul: walked("mapMul", "mapMulIntegers"),
    div: walked("mapDiv"),
    pow: walked("mapPow"),
    maximum: walked("mapMaximum", "mapMaximumIntegers"),
    minimum: walked("mapMinimum", "mapMinimumIntegers"),
    equal: walked("mapEqual", "mapEqualIntegers"),
    notEqual: walked("mapNotEqual", "mapNotEqualIntegers"),
    less: walked("mapLess", "mapLessIntegers"),
    lessEqual: walked("mapLessEqual", "mapLessEqualIntegers"),
    greater: walked("mapGreater", "mapGreaterIntegers"),
    greaterEqual: walked("mapGreaterEqual", "mapGreaterEqualIntegers"),
    where: walked("mapWhere"),
    exp: plain("mapExp"),
    log: plain("mapLog"),
    sqrt: plain("mapSqrt"),
    square: plain("mapSquare"),
    abs: plain("mapAbs"),
    sign: plain("mapSign"),
    tanh: plain("mapTanh"),
    sigmoid: plain("mapSigmoid"),
    erf: plain("mapErf"),
    gelu: plain("mapGelu"),
    relu: plain("mapRelu"),
    leakyRelu: (inputs, outputs, { slope }) => unary("mapLeakyRelu", inputs, outputs, slope),
    clamp: (inputs, outputs, { low, high }) => unary("mapClamp", inputs, outputs, low, high),
    affine: (inputs, outputs, { scale, shift }) =>
      unary("mapAffine", inputs, outputs, scale, shift),
    reluGradient: walked("mapReluGradient"),
    geluGradient: walked("mapGeluGradient"),
    cast: (inputs, outputs, { dtype }) => unary(casts[inputs[0].dtype][dtype], inputs, outputs),
  };
}
