/** Converts a computation to an ONNX graph, for batches of any size. */
import { sameShape } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { BATCH, GraphBuilder, type OnnxValue } from "./graph.ts";
import type { OnnxGraph } from "./model_file.ts";
import { type Operand, type Operator, OPERATORS, unwritable } from "./operators.ts";
import { type Trace, traceComputation, type TracedValue } from "./trace.ts";

/** A computation to convert to a graph. */
export interface Computation {
  /** The name of the graph. */
  readonly name: string;
  /** The names of its input and outputs. */
  readonly names: { readonly input: string; readonly outputs: readonly string[] };
  /** Creates an input with a given batch size. */
  readonly inputOf: (batch: number) => Tensor;
  /** The computation itself. */
  readonly compute: (input: Tensor) => readonly Tensor[];
}

/** Two batch sizes. An axis whose length differs between them depends on the batch. */
const BATCHES = [2, 3] as const;

/** Converts the computation to a graph.
 * @throws {RangeError} the computation has an operation without an ONNX equivalent, or a constant that depends on the
 * batch
 */
export function writeGraph(
  device: Device,
  { name, names, inputOf, compute }: Computation,
): OnnxGraph {
  const [trace, other] = BATCHES.map((batch) => {
    using _scope = device.scope();
    const input = inputOf(batch);
    return traceComputation(device, [input], () => compute(input));
  });
  const shapes = shapesOf(trace, other);
  const graph = new GraphBuilder();
  const operands = new Map<TracedValue, Operand>();
  const describe = (value: TracedValue, name: string): Operand => {
    const operand = { name, dtype: value.dtype, shape: shapes.get(value) ?? value.shape };
    operands.set(value, operand);
    return operand;
  };
  const operandOf = (value: TracedValue): Operand => {
    const known = operands.get(value);
    if (known !== undefined) return known;
    return describe(value, graph.constant(value.shape, value.constant!));
  };
  const inputs = trace.inputs.map((value) => describe(value, names.input));
  for (const { name, inputs, outputs, attributes } of trace.nodes) {
    const operator = (OPERATORS as Readonly<Record<string, Operator<unknown>>>)[name];
    if (operator === undefined) throw unwritable(name);
    const [first] = outputs;
    const shape = shapes.get(first) ?? first.shape;
    describe(first, operator(graph, inputs.map(operandOf), attributes, shape));
  }
  const outputs = trace.outputs.map((value, at): OnnxValue => {
    const { name, ...rest } = operandOf(value);
    const output = names.outputs[at];
    graph.nodes.push({ type: "Identity", inputs: [name], outputs: [output], attributes: {} });
    return { name: output, ...rest };
  });
  return { name, inputs, outputs, nodes: graph.nodes, constants: graph.constants };
}

/** The shape of every computed value, with `BATCH` on axes where the two traces differ.
 * @throws {RangeError} they differ in more than the batch
 */
function shapesOf(trace: Trace, other: Trace): ReadonlyMap<TracedValue, readonly number[]> {
  const shapes = new Map<TracedValue, readonly number[]>();
  const merge = (values: readonly TracedValue[], others: readonly TracedValue[]) =>
    values.forEach((value, at) => {
      const { shape, constant } = others[at];
      if (value.constant === undefined) {
        shapes.set(value, value.shape.map((size, axis) => size === shape[axis] ? size : BATCH));
      } else if (
        constant === undefined || !sameShape(value.shape, shape) ||
        value.constant.some((element, index) => !Object.is(element, constant[index]))
      ) {
        throw unwritable("a constant that depends on the batch");
      }
    });
  merge(trace.inputs, other.inputs);
  if (trace.nodes.length !== other.nodes.length) throw unwritable("other nodes for another batch");
  trace.nodes.forEach(({ inputs, outputs }, at) => {
    merge(inputs, other.nodes[at].inputs);
    merge(outputs, other.nodes[at].outputs);
  });
  return shapes;
}
