/** The ONNX equivalent of each operation of the library. Images are `[B, H, W, C]` here and `[B, C, H, W]` in ONNX, so
 * convolutions and pooling are placed between transpositions. Runtimes remove most of these. */
import type { Attributes, ConvAttributes, OperationName, Pair } from "../../core/ops.ts";
import type { DType, Shape } from "../../core/shape.ts";
import { BATCH, type GraphBuilder } from "./graph.ts";

/** A value used as an operand: its name in the graph, its shape (`BATCH` for the batch axis) and its type. */
export interface Operand {
  /** Its name. */
  readonly name: string;
  /** Its shape. */
  readonly shape: Shape;
  /** Its type. */
  readonly dtype: DType;
}

/** Adds the nodes of an operation and returns the name of its first output, which has the shape `shape`. */
export type Operator<A> = (
  graph: GraphBuilder,
  operands: readonly Operand[],
  attributes: A,
  shape: Shape,
) => string;

type Operators = { readonly [N in OperationName]?: Operator<Attributes[N]> };

const named = (operands: readonly Operand[]): string[] => operands.map(({ name }) => name);

/** An operator that is the same in ONNX. */
const same = (type: string): Operator<unknown> => (graph, operands) =>
  graph.add(type, named(operands));

/** A comparison, which gives 0 or 1, not a boolean. */
const comparison = (type: string): Operator<unknown> => (graph, operands) =>
  graph.cast(graph.add(type, named(operands)), "int32");

const TO_CHANNELS_FIRST = [0, 3, 1, 2], TO_CHANNELS_LAST = [0, 2, 3, 1];

/** Applies nodes to images with their channels first. */
function withChannelsFirst(
  graph: GraphBuilder,
  images: string,
  body: (images: string) => string,
): string {
  const first = body(graph.transpose(images, TO_CHANNELS_FIRST));
  return graph.transpose(first, TO_CHANNELS_LAST);
}

const twice = ([height, width]: Pair): readonly number[] => [height, width, height, width];

function windowOf({ stride, padding, dilation }: ConvAttributes) {
  return { strides: stride, pads: twice(padding), dilations: dilation };
}

const rectified = (graph: GraphBuilder, x: string, relu: boolean): string =>
  relu ? graph.add("Relu", [x]) : x;

/** The squared lengths of rows, `[N, D]` → `[N, 1]`. */
const squaredLengths = (graph: GraphBuilder, rows: string): string =>
  graph.add("ReduceSum", [graph.add("Mul", [rows, rows]), graph.integers([1])], { keepdims: 1 });

/** Rows divided by max(‖·‖, 1e−12). */
function directions(graph: GraphBuilder, rows: string): string {
  const lengths = graph.add("Sqrt", [squaredLengths(graph, rows)]);
  return graph.add("Div", [rows, graph.add("Max", [lengths, graph.float(1e-12)])]);
}

/** (x − mean)/σ over the positions and the channels of each group of `[B, S, C]`. */
function normalized(
  graph: GraphBuilder,
  { name, shape: [, positions, channels] }: Operand,
  groups: number,
  epsilon: number,
): string {
  const grouped = graph.reshape(graph.transpose(name, [0, 2, 1]), [
    BATCH,
    groups,
    channels / groups * positions,
  ]);
  const constant = (value: number) =>
    graph.constant([groups], new Float32Array(groups).fill(value));
  const result = graph.add("InstanceNormalization", [grouped, constant(1), constant(0)], {
    epsilon: { float: epsilon },
  });
  return graph.transpose(graph.reshape(result, [BATCH, channels, positions]), [0, 2, 1]);
}

/** The operations with an ONNX equivalent. Operations used only in training have none. */
export const OPERATORS: Operators = {
  add: same("Add"),
  sub: same("Sub"),
  mul: same("Mul"),
  div: same("Div"),
  pow: same("Pow"),
  maximum: same("Max"),
  minimum: same("Min"),
  equal: comparison("Equal"),
  less: comparison("Less"),
  lessEqual: comparison("LessOrEqual"),
  greater: comparison("Greater"),
  greaterEqual: comparison("GreaterOrEqual"),
  notEqual: (graph, operands) =>
    graph.cast(graph.add("Not", [graph.add("Equal", named(operands))]), "int32"),
  where: (graph, [condition, ...choices]) =>
    graph.add("Where", [graph.cast(condition.name, "bool"), ...named(choices)]),
  exp: same("Exp"),
  log: same("Log"),
  sqrt: same("Sqrt"),
  square: (graph, [{ name }]) => graph.add("Mul", [name, name]),
  abs: same("Abs"),
  sign: same("Sign"),
  tanh: same("Tanh"),
  sigmoid: same("Sigmoid"),
  erf: same("Erf"),
  gelu: (graph, [{ name }]) => {
    const error = graph.add("Erf", [graph.add("Mul", [name, graph.float(Math.SQRT1_2)])]);
    const share = graph.add("Mul", [graph.add("Add", [error, graph.float(1)]), graph.float(0.5)]);
    return graph.add("Mul", [name, share]);
  },
  relu: same("Relu"),
  leakyRelu: (graph, operands, { slope }) =>
    graph.add("LeakyRelu", named(operands), { alpha: { float: slope } }),
  clamp: (graph, [{ name }], { low, high }) =>
    graph.add("Clip", [name, graph.float(low), graph.float(high)]),
  affine: (graph, [{ name }], { scale, shift }) =>
    graph.add("Add", [graph.add("Mul", [name, graph.float(scale)]), graph.float(shift)]),
  cast: (graph, [{ name }], { dtype }) => graph.cast(name, dtype),

  sum: (graph, [{ name }]) => graph.add("ReduceSum", [name, graph.integers([1])], { keepdims: 0 }),
  max: (graph, operands) => graph.add("ReduceMax", named(operands), { axes: [1], keepdims: 0 }),
  logsumexp: (graph, operands) =>
    graph.add("ReduceLogSumExp", named(operands), { axes: [1], keepdims: 0 }),
  softmax: (graph, operands) => graph.add("Softmax", named(operands), { axis: 1 }),
  argmax: (graph, operands) =>
    graph.cast(graph.add("ArgMax", named(operands), { axis: 1, keepdims: 0 }), "int32"),

  matmul: (graph, [a, b], { transposeA, transposeB }) =>
    graph.add("MatMul", [
      transposeA ? graph.transpose(a.name, [0, 2, 1]) : a.name,
      transposeB ? graph.transpose(b.name, [0, 2, 1]) : b.name,
    ]),
  conv2d: (graph, [x, weight, bias], attributes) =>
    withChannelsFirst(graph, x.name, (images) => {
      const filters = graph.transpose(weight.name, [3, 2, 0, 1]);
      const result = graph.add("Conv", [images, filters, bias?.name], windowOf(attributes));
      return rectified(graph, result, attributes.relu);
    }),
  convTranspose2d: (graph, [x, weight, bias], attributes) =>
    withChannelsFirst(graph, x.name, (images) => {
      const { stride, padding, dilation, outputSize, relu } = attributes;
      const filters = graph.transpose(weight.name, [3, 2, 0, 1]);
      // Rows outside all windows of the convolution whose adjoint this is.
      const rest = [0, 1].map((axis) => {
        const reach = dilation[axis] * (weight.shape[axis] - 1) + 1;
        const given = (x.shape[1 + axis] - 1) * stride[axis] - 2 * padding[axis] + reach;
        return outputSize[axis] - given;
      });
      const result = graph.add("ConvTranspose", [images, filters, bias?.name], {
        ...windowOf(attributes),
        output_padding: rest,
      });
      return rectified(graph, result, relu);
    }),
  normalize: (graph, [x], { groups, epsilon }) => normalized(graph, x, groups, epsilon),
  groupNorm: (graph, [x, gain, shift], { groups, epsilon, centred, silu }) => {
    if (!centred) throw unwritable("groupNorm without a mean");
    const scaled = graph.add("Mul", [normalized(graph, x, groups, epsilon), gain.name]);
    const shifted = shift === undefined ? scaled : graph.add("Add", [scaled, shift.name]);
    return silu ? graph.add("Mul", [shifted, graph.add("Sigmoid", [shifted])]) : shifted;
  },
  attention: (graph, [q, k, v, visible], { causal, scale }) => {
    if (causal || visible !== undefined) throw unwritable("attention that does not see every key");
    const [queries, keys, values] = [[q, [0, 2, 1, 3]], [k, [0, 2, 3, 1]], [v, [
      0,
      2,
      1,
      3,
    ]]] as const;
    const [a, b, c] = [queries, keys, values].map(([{ name }, perm]) =>
      graph.transpose(name, perm)
    );
    const products = graph.add("Mul", [graph.add("MatMul", [a, b]), graph.float(scale)]);
    const shares = graph.add("Softmax", [products], { axis: -1 });
    return graph.transpose(graph.add("MatMul", [shares, c]), [0, 2, 1, 3]);
  },

  reshape: (graph, [{ name }], _, shape) => graph.reshape(name, shape),
  transpose: (graph, [{ name }], { permutation }) => graph.transpose(name, permutation),
  slice: (graph, [{ name, shape }], { starts }, given) => {
    const all = 2 ** 53 - 1;
    // The batch axis is taken whole.
    const ends = given.map((size, axis) => shape[axis] === BATCH ? all : starts[axis] + size);
    const axes = given.map((_, axis) => axis);
    return graph.add("Slice", [name, ...[starts, ends, axes].map((list) => graph.integers(list))]);
  },
  pad: (graph, [{ name }], { before, after, value }) =>
    graph.add("Pad", [name, graph.integers([...before, ...after]), graph.float(value)]),
  // The batch axis already has the operand's length: 1 keeps it.
  broadcast: (graph, [{ name }], _, shape) =>
    graph.add("Expand", [name, graph.integers(shape.map((length) => Math.abs(length)))]),
  concatenate: (graph, operands, { axis }) => graph.add("Concat", named(operands), { axis }),
  copy: same("Identity"),
  upsampleNearest: (graph, [{ name }], { scale }) =>
    withChannelsFirst(graph, name, (images) => {
      const scales = graph.constant([4], Float32Array.of(1, 1, ...scale));
      return graph.add("Resize", [images, "", scales], {
        mode: "nearest",
        coordinate_transformation_mode: "asymmetric",
        nearest_mode: "floor",
      });
    }),
  averagePool: (graph, [{ name }], { size, stride, padding }) =>
    withChannelsFirst(graph, name, (images) =>
      graph.add("AveragePool", [images], {
        kernel_shape: size,
        strides: stride,
        pads: twice(padding),
        count_include_pad: 1,
      })),

  // ONNX counts −1 from the end, where a row of zeros is: the library's result for an index that is not a code.
  gather: (graph, [table, indices]) => {
    const [, width] = table.shape;
    const none = graph.constant([1, width], new Float32Array(width));
    const rows = graph.add("Concat", [table.name, none], { axis: 0 });
    return graph.add("Gather", [rows, indices.name], { axis: 0 });
  },
  nearest: (graph, [queries, keys], { distance, noise }) => {
    if (noise !== undefined) throw unwritable("a lookup that draws codes");
    const isCosine = distance === "cos";
    const [q, k] = isCosine
      ? [directions(graph, queries.name), directions(graph, keys.name)]
      : [queries.name, keys.name];
    const products = graph.add("MatMul", [q, graph.transpose(k, [1, 0])]);
    const similarity = isCosine ? products : graph.add("Add", [
      graph.add("Neg", [
        graph.add("Add", [
          squaredLengths(graph, q),
          graph.transpose(squaredLengths(graph, k), [1, 0]),
        ]),
      ]),
      graph.add("Mul", [products, graph.float(2)]),
    ]);
    const last = { axis: 1, keepdims: 0, select_last_index: 1 };
    return graph.cast(graph.add("ArgMax", [similarity], last), "int32");
  },
};

/** The error for an operation that cannot be expressed in ONNX. */
export function unwritable(what: string): RangeError {
  return new RangeError(
    `Cannot write ONNX: the model must consist of operations that ONNX has, got ${what}`,
  );
}
